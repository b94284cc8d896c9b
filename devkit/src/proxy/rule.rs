//! Which requests are broken, and how.

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::sync::watch;

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Held before the server sees it, until released. When the client leaves
    /// meanwhile, the server never sees it.
    HoldRequest,
    /// Held after the server answered, until released: the server has done the
    /// work and the client does not know.
    HoldResponse,
    /// The connection is reset before the server sees the request.
    Reset,
    /// The connection is reset after the server answered.
    ResetAfterAnswer,
    /// The answer ends after so many bytes, head included.
    Cut(usize),
    /// The answer ends in the middle of its body, or of its head when it has
    /// no body. The server has done the work.
    Half,
    /// The answer's body comes after so many spaces, which JSON allows: an
    /// answer of any size that still makes sense.
    Padded(usize),
    /// The request is passed on late.
    Delay(Duration),
    /// Answered here with this status and a JSON body without details; the
    /// server sees nothing. The second number is a `Retry-After` in seconds.
    Status(u16, Option<u64>),
    /// Answered here with this status and this body, which says that it is
    /// HTML: something else than the server answers. The server sees nothing.
    Page(u16, String),
    /// Every number of this name in the answer's JSON is replaced by this one.
    /// The server has done the work.
    Number(String, u64),
    /// Answered here with this status and a `Location`: this address and the
    /// request's own path. The server sees nothing.
    Redirect(u16, String),
    /// Accepted and never answered; the server sees nothing.
    NeverAnswer,
}

/// One fault for the requests that match.
#[derive(Debug, Clone)]
pub struct Rule {
    method: String,
    path_part: String,
    skip: u64,
    times: u64,
    every: u64,
    lasting: Option<Duration>,
    pub(super) fault: Fault,
}

impl Rule {
    /// For requests with this method (`*` for any) whose path and query
    /// contain `path_part` (empty for any).
    pub fn on(method: &str, path_part: &str, fault: Fault) -> Self {
        Self {
            method: method.to_owned(),
            path_part: path_part.to_owned(),
            skip: 0,
            times: u64::MAX,
            every: 1,
            lasting: None,
            fault,
        }
    }

    /// Lets the first `count` matching requests pass.
    #[must_use]
    pub fn skip(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Breaks at most `count` requests.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.times = count;
        self
    }

    /// Breaks the first of every `count` requests and lets the others pass.
    #[must_use]
    pub fn every(mut self, count: u64) -> Self {
        self.every = count.max(1);
        self
    }

    /// Breaks requests for so long, from the first broken one on.
    #[must_use]
    pub fn lasting(mut self, time: Duration) -> Self {
        self.lasting = Some(time);
        self
    }

    pub(super) fn matches(&self, method: &str, target: &str) -> bool {
        (self.method == "*" || self.method.eq_ignore_ascii_case(method))
            && target.contains(&self.path_part)
    }
}

/// A rule at work, with its counters.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) rule: Rule,
    /// How many requests matched, the skipped ones included.
    seen: watch::Sender<u64>,
    hits: watch::Sender<u64>,
    released: watch::Sender<bool>,
    removed: watch::Sender<bool>,
    /// When the first request was claimed.
    began: OnceLock<Instant>,
}

impl Active {
    pub(super) fn new(rule: Rule) -> Arc<Self> {
        Arc::new(Self {
            rule,
            seen: watch::Sender::new(0),
            hits: watch::Sender::new(0),
            released: watch::Sender::new(false),
            removed: watch::Sender::new(false),
            began: OnceLock::new(),
        })
    }

    /// Whether this matching request is one to break; counted, not yet hit.
    pub(super) fn claims(&self) -> bool {
        if *self.removed.borrow() {
            return false;
        }
        let mut number = 0;
        self.seen.send_modify(|seen| {
            number = *seen;
            *seen += 1;
        });
        let Some(number) = number.checked_sub(self.rule.skip) else {
            return false;
        };
        let claimed =
            number.is_multiple_of(self.rule.every) && number / self.rule.every < self.rule.times;
        claimed
            && self.rule.lasting.is_none_or(|time| {
                let began = self.began.get_or_init(Instant::now);
                began.elapsed() < time
            })
    }

    /// Tells the waiting test that the fault has come into effect.
    pub(super) fn hit(&self) {
        self.hits.send_modify(|hits| *hits += 1);
    }

    pub(super) async fn until_released(&self) {
        // Fails only when the sender is gone, which we hold.
        let _ = self
            .released
            .subscribe()
            .wait_for(|released| *released)
            .await;
    }
}

/// The test's end of a rule. Dropping it ends the rule and releases what it
/// holds.
#[derive(Debug)]
#[must_use = "dropping it ends the rule"]
pub struct Injected {
    pub(super) active: Arc<Active>,
}

impl Injected {
    /// How many requests were broken.
    pub fn hits(&self) -> u64 {
        *self.active.hits.borrow()
    }

    /// Blocks until the first request was broken; an error when none was.
    pub fn wait_hit(&self, limit: Duration) -> Result<()> {
        self.wait_hits(1, limit)
    }

    /// Blocks until `count` requests were broken.
    pub fn wait_hits(&self, count: u64, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        while self.hits() < count {
            if Instant::now() >= until {
                bail!(
                    "{:?} was hit {} times within {limit:?}, not {count}",
                    self.active.rule,
                    self.hits()
                );
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// The same as [`Injected::wait_hit`] for async tests.
    pub async fn hit(&self, limit: Duration) -> Result<()> {
        let mut hits = self.active.hits.subscribe();
        let hit = tokio::time::timeout(limit, hits.wait_for(|hits| *hits > 0)).await;
        if !matches!(hit, Ok(Ok(_))) {
            bail!("{:?} was not hit within {limit:?}", self.active.rule);
        }
        Ok(())
    }

    /// Lets go what is held, now and from now on.
    pub fn release(&self) {
        self.active.released.send_replace(true);
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        self.active.removed.send_replace(true);
        self.release();
    }
}

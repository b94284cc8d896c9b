//! The thread that writes for those who do not wait for the disk.

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::database::Shape;
use super::half::{Half, sent};
use super::inbox::{EACH, Inbox, LONGEST, Write, patience, with_audit};
use super::keeper::Post;
use super::pen::Pen;
use super::{Pace, StoreError, Unkept};
use crate::audit::{AuditLog, Unsynced};
use crate::diagnostic::with_causes;
use crate::lock::Mutex;

/// How long after they were told the disk is asked to take what was written. People are
/// told of it in `config::SyncedEnds`, docs/OPERATE.md, GRANTS.md, AUDIT.md and PERFORMANCE.md.
pub(super) const LATER: Duration = Duration::from_millis(20);

/// The state of the thread.
pub(super) struct Early<S: Shape> {
    inbox: Inbox<S>,
    pen: Arc<Pen<S>>,
    /// The thread that waits for the disk.
    keeper: Post<S::Change>,
    owed: Option<Owed>,
    /// What the disk was asked for and has not answered.
    asked: Vec<oneshot::Receiver<Result<(), Unkept>>>,
    failure: LateFailure,
}

/// The way to the thread.
pub(super) struct EarlyPost<C> {
    writes: Sender<Write<C>>,
    failure: LateFailure,
}

/// Why the disk did not take what was told already, until somebody takes notice.
type LateFailure = Arc<Mutex<Option<StoreError>>>;

impl<C> Clone for EarlyPost<C> {
    fn clone(&self) -> Self {
        Self {
            writes: self.writes.clone(),
            failure: Arc::clone(&self.failure),
        }
    }
}

impl<C> EarlyPost<C> {
    /// Makes changes; returns when they and their audit outlast this process.
    pub(super) async fn send(&self, changes: Vec<C>, audit: Unsynced) -> Result<(), Unkept> {
        sent(|done| {
            // When the thread is gone it is dropped, and whoever waits for it learns that.
            drop(self.writes.send(Write {
                changes,
                pace: Pace::Soon,
                audit: Some(audit),
                done,
            }));
        })
        .await
    }

    /// As if the thread were gone.
    #[cfg(test)]
    pub(super) fn lose(&mut self) {
        self.writes = mpsc::channel().0;
    }

    /// Why the disk did not take what was written; once.
    pub(super) fn failure(&self) -> Option<StoreError> {
        self.failure.lock().take()
    }
}

/// What the disk was not asked to take yet.
struct Owed {
    since: Instant,
    /// The last line of each chain.
    audits: Vec<Unsynced>,
}

impl<S: Shape> Early<S> {
    /// The thread ends when nobody is left who could write.
    pub(super) fn start(name: &str, half: &Half<S>) -> Result<EarlyPost<S::Change>, StoreError> {
        let (writes, received) = mpsc::channel();
        let failure = LateFailure::default();
        let early = Self {
            inbox: Inbox::new(received),
            pen: Arc::clone(&half.pen),
            keeper: half.post.clone(),
            owed: None,
            asked: Vec::new(),
            failure: Arc::clone(&failure),
        };
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || early.work())
            .map_err(|error| StoreError::Thread(Arc::new(error)))?;
        Ok(EarlyPost { writes, failure })
    }

    fn work(mut self) {
        let mut were = 0;
        loop {
            let first = match self.due() {
                Some(due) => self.inbox.first_until(due),
                None => self.inbox.first().map(Some),
            };
            let Ok(first) = first else {
                break;
            };
            if let Some(first) = first {
                thread::sleep(patience(were, EACH, LONGEST));
                let batch = self.inbox.batch(first);
                were = batch.len();
                self.settle(batch);
            }
            self.hear();
            if (self.owed.as_ref()).is_some_and(|owed| owed.since.elapsed() >= LATER) {
                self.ask();
            }
        }
        self.ask();
    }

    /// When there is something to do, whether or not anybody comes.
    fn due(&self) -> Option<Instant> {
        match &self.owed {
            Some(owed) => Some(owed.since + LATER),
            None if self.asked.is_empty() => None,
            None => Some(Instant::now() + LATER),
        }
    }

    /// Writes the audit that has to be there before, commits, and tells.
    fn settle(&mut self, batch: Vec<Write<S::Change>>) {
        let batch = with_audit(batch, AuditLog::flush);
        let written = match batch.is_empty() {
            true => return,
            false => self
                .pen
                .write(batch.iter().flat_map(|write| &write.changes)),
        };
        let written = written.map(drop);
        let owed = self.owed.get_or_insert_with(|| Owed {
            since: Instant::now(),
            audits: Vec::new(),
        });
        for write in batch {
            if let Some(audit) = write.audit {
                owed.audits.retain(|other| !other.log().is(audit.log()));
                owed.audits.push(audit);
            }
            // Who does not wait any more need not know.
            let _ = write.done.send(written.clone().map_err(Unkept::Store));
        }
    }

    /// Hears what the disk said.
    fn hear(&mut self) {
        self.asked.retain_mut(|asked| {
            let unkept = match asked.try_recv() {
                Err(TryRecvError::Empty) => return true,
                Ok(Ok(())) => return false,
                Ok(Err(unkept)) => unkept,
                Err(TryRecvError::Closed) => Unkept::Store(StoreError::Stopped),
            };
            tracing::error!(
                error = with_causes(&unkept),
                "runs without grants that were told their end may not be on the disk"
            );
            if let Unkept::Store(error) = unkept {
                *self.failure.lock() = Some(error);
            }
            false
        });
    }

    /// Asks the disk for what is owed.
    fn ask(&mut self) {
        let Some(owed) = self.owed.take() else {
            return;
        };
        // The results also where an audit fails.
        for audit in owed.audits.into_iter().map(Some).chain([None]) {
            let (done, asked) = oneshot::channel();
            self.keeper.send(Write {
                changes: Vec::new(),
                pace: Pace::Unhurried,
                audit,
                done,
            });
            self.asked.push(asked);
        }
    }
}

//! Keys that change while the service runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::KeySetError;
use super::fetch::{self, Published};
use super::keys::KeySet;
use crate::config::KeySetPlace;
use crate::lock::Mutex;

/// How long the place is left alone after a token named a key that it did not
/// have: anybody can send such a token.
const PATIENCE: Duration = Duration::from_secs(10);

/// The key set that is in effect, and where the next one comes from. Clones
/// share it.
#[derive(Clone)]
pub(super) struct Keys(Arc<Inner>);

struct Inner {
    now: ArcSwap<KeySet>,
    /// None when it lies in a file.
    published: Option<Published>,
    /// Held by whoever fetches; when a token made us do so last.
    fetching: Arc<tokio::sync::Mutex<Option<Instant>>>,
    seen: Mutex<Seen>,
}

/// What became of the last fetch.
struct Seen {
    since: Instant,
    is_failing: bool,
}

impl Keys {
    /// Reads or fetches the set. What was there before goes on when it is asked
    /// for from a URL and does not come.
    pub(super) async fn load(
        place: &KeySetPlace,
        before: Option<&Self>,
    ) -> Result<Self, KeySetError> {
        let (published, set) = match place {
            KeySetPlace::File(file) => (None, fetch::read(file)),
            KeySetPlace::Url { url, ca } => {
                let published = Published::new(url, ca.as_deref()).await?;
                let set = published.fetch().await;
                (Some(published), set)
            }
        };
        let (now, since, failure) = match (set, before) {
            (Ok(set), _) => (Arc::new(set), Instant::now(), None),
            (Err(error), Some(before)) if published.is_some() => {
                let since = before.0.seen.lock().since;
                (before.0.now.load_full(), since, Some(error))
            }
            (Err(error), _) => return Err(error),
        };
        let keys = Self(Arc::new(Inner {
            now: ArcSwap::from(now),
            published,
            fetching: Arc::default(),
            seen: Mutex::new(Seen {
                since,
                is_failing: false,
            }),
        }));
        if let Some(error) = failure {
            keys.note(Err(&error));
        }
        Ok(keys)
    }

    /// The set that is in effect.
    pub(super) fn now(&self) -> Arc<KeySet> {
        self.0.now.load_full()
    }

    /// How long ago it was read or fetched.
    pub(super) fn age(&self) -> Duration {
        self.0.seen.lock().since.elapsed()
    }

    /// Fetches the set anew, if it is published; the old one stays when that
    /// fails.
    pub(super) async fn renew(&self) {
        let _held = self.0.fetching.lock().await;
        self.fetch().await;
    }

    /// The same for a token that names a key which is not there: once in
    /// [`PATIENCE`], for everybody. Whether there may be new keys.
    pub(super) async fn renew_for_a_stranger(&self) -> bool {
        if self.0.published.is_none() {
            return false;
        }
        // Who comes while another's fetch is under way has its keys.
        let mut asked = Arc::clone(&self.0.fetching).lock_owned().await;
        if asked.is_none_or(|at| at.elapsed() >= PATIENCE) {
            *asked = Some(Instant::now());
            let keys = self.clone();
            // By itself: who hangs up must not keep the next one from the keys.
            let fetched = tokio::spawn(async move {
                keys.fetch().await;
                drop(asked);
            });
            let _ = fetched.await;
        }
        true
    }

    async fn fetch(&self) {
        let Some(published) = &self.0.published else {
            return;
        };
        match published.fetch().await {
            Ok(set) => {
                self.0.now.store(Arc::new(set));
                self.note(Ok(()));
            }
            Err(error) => self.note(Err(&error)),
        }
    }

    /// A change is told once.
    fn note(&self, fetched: Result<(), &KeySetError>) {
        let mut seen = self.0.seen.lock();
        match fetched {
            Ok(()) => {
                if seen.is_failing {
                    tracing::warn!("the key set can be fetched again");
                }
                *seen = Seen {
                    since: Instant::now(),
                    is_failing: false,
                };
            }
            Err(problem) => {
                if !seen.is_failing {
                    tracing::warn!(%problem, "the keys for tokens stay as they were");
                }
                seen.is_failing = true;
            }
        }
    }
}

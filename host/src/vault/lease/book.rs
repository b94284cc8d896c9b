//! The leases of one attempt, and the journal's record that names them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::{LeaseId, LeaseState};
use crate::lock::Mutex;
use crate::vault::VaultError;
use crate::vault::journal::Entry;
use crate::vault::stats::{Counters, LiveLease};

/// Leases of one attempt at most. A day of credentials that live for two
/// minutes fits; more would be a task that makes users without end.
const MAX_LEASES: usize = 1000;

/// Answers that may be lost before nothing more is asked for: each may have
/// made a credential that only the end of the token ends.
const MAX_LOST: u32 = 3;

/// How long the end of an attempt waits for a credential that was asked for
/// and has not come.
const ASKS: Duration = Duration::from_secs(2);

/// What one attempt leased.
pub(in crate::vault) struct LeaseBook {
    /// Taken out at the end.
    entry: Mutex<Option<Entry>>,
    leases: Mutex<Vec<Held>>,
    numbered: AtomicU32,
    lost: AtomicU32,
    ended: AtomicBool,
    pub(super) asks: TaskTracker,
    counters: Arc<Counters>,
}

/// One lease of it.
struct Held {
    lease: u32,
    id: LeaseId,
    state: LeaseState,
    renewing: Option<AbortOnDropHandle<()>>,
    _live: LiveLease,
}

impl LeaseBook {
    pub(in crate::vault) fn new(entry: Entry, counters: &Arc<Counters>) -> Self {
        Self {
            entry: Mutex::new(Some(entry)),
            leases: Mutex::default(),
            numbered: AtomicU32::new(0),
            lost: AtomicU32::new(0),
            ended: AtomicBool::new(false),
            asks: TaskTracker::new(),
            counters: Arc::clone(counters),
        }
    }

    /// Whether one more may be asked for.
    pub(super) fn admit(&self) -> Result<(), VaultError> {
        if self.ended.load(Ordering::Acquire) {
            return Err(VaultError::Closed);
        }
        // Those that could not be kept count too: the journal has a line of each.
        let noted = (self.entry.lock().as_ref()).map_or(0, |entry| entry.leases().len());
        if noted >= MAX_LEASES {
            return Err(VaultError::TooManyLeases { limit: MAX_LEASES });
        }
        if self.lost.load(Ordering::Acquire) >= MAX_LOST {
            return Err(VaultError::LeaseAnswersLost { times: MAX_LOST });
        }
        Ok(())
    }

    /// An answer was lost that may have made a credential.
    pub(super) fn note_lost(&self) {
        self.lost.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether the answer to a question never came whole.
    pub(in crate::vault) fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire) > 0
    }

    /// Writes a lease into the journal and waits until the disk has it. It is
    /// written when this first waits: who gives up the waiting leaves it there.
    pub(super) async fn note(&self, id: &LeaseId) -> Result<(), VaultError> {
        let written = match self.entry.lock().as_mut() {
            Some(entry) => entry.leased(id),
            None => return Err(VaultError::Closed),
        };
        Ok(written.synced().await?)
    }

    /// The number of the next lease of this attempt, from 1.
    pub(super) fn number(&self) -> u32 {
        self.numbered.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Takes a lease in. It comes back when the attempt is over meanwhile.
    pub(super) fn add(
        &self,
        lease: u32,
        id: LeaseId,
        state: &LeaseState,
        renewing: Option<AbortOnDropHandle<()>>,
    ) -> Result<(), LeaseId> {
        let mut leases = self.leases.lock();
        if self.ended.load(Ordering::Acquire) {
            return Err(id);
        }
        leases.push(Held {
            lease,
            id,
            state: state.clone(),
            renewing,
            _live: self.counters.lease(),
        });
        Ok(())
    }

    /// Ends it: nothing is renewed or asked for any more, and whoever watches
    /// a lease is told that it is over.
    pub(in crate::vault) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.asks.close();
        for held in self.leases.lock().iter_mut() {
            held.renewing = None;
            held.state.set_dead();
        }
    }

    /// Waits until the last question has its answer, for a moment; false when
    /// one has none.
    pub(in crate::vault) async fn is_answered(&self) -> bool {
        let answered = tokio::time::timeout(ASKS, self.asks.wait()).await.is_ok();
        if !answered {
            tracing::warn!("a credential was asked for and has not come; it ends with the token");
        }
        answered
    }

    /// What is to be revoked.
    pub(in crate::vault) fn all(&self) -> Vec<(u32, LeaseId)> {
        self.leases
            .lock()
            .iter()
            .map(|held| (held.lease, held.id.clone()))
            .collect()
    }

    /// Forgets them: they were revoked, or left to a sweep.
    pub(in crate::vault) fn forget(&self) {
        self.leases.lock().clear();
    }

    /// The journal's record.
    pub(in crate::vault) fn take_entry(&self) -> Option<Entry> {
        self.entry.lock().take()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::vault::journal::{AuthorityKind, Intent, Journal};

    /// A guest that asks again and again for what cannot be kept.
    #[tokio::test]
    async fn leases_that_were_noted_and_not_kept_count_too() {
        let state = tempfile::tempdir().unwrap();
        let intent = Intent::new(
            AuthorityKind::Attempt,
            "a".to_owned(),
            None,
            "http://127.0.0.1:1".to_owned(),
            None,
            Timestamp::UNIX_EPOCH,
            Duration::from_secs(60),
        );
        let entry = Journal::new(state.path()).begin(intent).unwrap();
        let book = LeaseBook::new(entry, &Arc::default());
        for number in 0..MAX_LEASES {
            book.admit().unwrap();
            let id = LeaseId::try_from(format!("a/creds/b/{number}")).unwrap();
            book.note(&id).await.unwrap();
        }
        assert!(book.all().is_empty());
        let refused = book.admit().unwrap_err();
        assert!(
            matches!(refused, VaultError::TooManyLeases { .. }),
            "{refused:?}"
        );
    }
}

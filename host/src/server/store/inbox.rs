//! What waits to be written.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Unkept;
use super::database::Shape;
use crate::audit::{AuditError, AuditLog, Unsynced};

/// Writes that share one commit at most.
const BATCH: usize = 4_097;

/// What they write together, in bytes. One that is larger has a commit of its own: nobody
/// waits for more than that, and nobody's write fails with it.
const BATCH_BYTES: usize = 4 << 20;

/// How long each that came the last time lets the next ones wait.
pub(super) const EACH: Duration = Duration::from_micros(40);

/// The longest that they wait.
pub(super) const LONGEST: Duration = Duration::from_millis(2);

/// How much a write minds waiting for others that share its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Pace {
    /// Whoever waits has little else to wait for.
    Soon,
    /// Nobody waits, or the run asks Vault or a server as well, which takes longer.
    Unhurried,
}

/// Changes that belong together.
pub(super) struct Write<C> {
    pub(super) changes: Vec<C>,
    pub(super) pace: Pace,
    /// What has to be there before.
    pub(super) audit: Option<Unsynced>,
    /// Who waits for them.
    pub(super) done: oneshot::Sender<Result<(), Unkept>>,
}

/// The end of a thread's queue.
pub(super) struct Inbox<S: Shape> {
    writes: Receiver<Write<S::Change>>,
    /// The one that did not fit into the batch before.
    next: Option<Write<S::Change>>,
}

/// Nobody is left who could write.
pub(super) struct Gone;

impl<S: Shape> Inbox<S> {
    pub(super) fn new(writes: Receiver<Write<S::Change>>) -> Self {
        Self { writes, next: None }
    }

    /// Waits for one.
    pub(super) fn first(&mut self) -> Result<Write<S::Change>, Gone> {
        match self.next.take() {
            Some(write) => Ok(write),
            None => self.writes.recv().map_err(|_| Gone),
        }
    }

    /// Waits for one; none when it is time before one comes.
    pub(super) fn first_until(&mut self, time: Instant) -> Result<Option<Write<S::Change>>, Gone> {
        if let Some(write) = self.next.take() {
            return Ok(Some(write));
        }
        match self
            .writes
            .recv_timeout(time.saturating_duration_since(Instant::now()))
        {
            Ok(write) => Ok(Some(write)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Gone),
        }
    }

    /// Those that share a commit with this one.
    pub(super) fn batch(&mut self, first: Write<S::Change>) -> Vec<Write<S::Change>> {
        let mut bytes = size::<S>(&first);
        let mut batch = vec![first];
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let Ok(write) = self.writes.try_recv() else {
                break;
            };
            bytes += size::<S>(&write);
            if bytes > BATCH_BYTES {
                self.next = Some(write);
                break;
            }
            batch.push(write);
        }
        batch
    }
}

fn size<S: Shape>(write: &Write<S::Change>) -> usize {
    write.changes.iter().map(S::size).sum()
}

/// Sees to each chain once; those whose chain fails are told, and left out.
pub(super) fn with_audit<C>(
    batch: Vec<Write<C>>,
    see_to: fn(&AuditLog) -> Result<(), AuditError>,
) -> Vec<Write<C>> {
    let mut chains: Vec<(AuditLog, Result<(), Arc<AuditError>>)> = Vec::new();
    let mut left = Vec::with_capacity(batch.len());
    for write in batch {
        let seen_to = match &write.audit {
            Some(audit) => once(&mut chains, audit.log(), see_to),
            None => Ok(()),
        };
        match seen_to {
            Ok(()) => left.push(write),
            Err(error) => {
                // Who does not wait any more need not know.
                let _ = write.done.send(Err(Unkept::Audit(error)));
            }
        }
    }
    left
}

fn once(
    chains: &mut Vec<(AuditLog, Result<(), Arc<AuditError>>)>,
    chain: &AuditLog,
    see_to: fn(&AuditLog) -> Result<(), AuditError>,
) -> Result<(), Arc<AuditError>> {
    if let Some((_, seen_to)) = chains.iter().find(|(known, _)| known.is(chain)) {
        return seen_to.clone();
    }
    let seen_to = see_to(chain).map_err(Arc::new);
    chains.push((chain.clone(), seen_to.clone()));
    seen_to
}

/// How long to wait for more, when so many came together the last time. A commit, and what
/// is synced with it, costs the processor as much as some short runs do, however many share
/// it: the more there are, the more it is worth. One who comes alone does not wait.
pub(super) fn patience(were: usize, each: Duration, longest: Duration) -> Duration {
    match u32::try_from(were).unwrap_or(u32::MAX) {
        0 | 1 => Duration::ZERO,
        many => each.saturating_mul(many).min(longest),
    }
}

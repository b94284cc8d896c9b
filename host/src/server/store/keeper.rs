//! The thread that writes.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::database::{Database, Shape, Writer};
use super::{StoreError, Unkept};
use crate::audit::{AuditError, AuditLog, Unsynced};
use crate::priority::foremost;

/// Writes that share one commit at most.
const BATCH: usize = 4_097;

/// What they write together, in bytes. One that is larger has a commit of its own: nobody
/// waits for more than that, and nobody's write fails with it.
const BATCH_BYTES: usize = 4 << 20;

/// How long each that came the last time lets the next ones wait.
const EACH: Duration = Duration::from_micros(40);

/// The longest that they wait.
const LONGEST: Duration = Duration::from_millis(2);

/// Changes that belong together.
pub(super) struct Write<C> {
    pub(super) changes: Vec<C>,
    /// What has to be on the disk before.
    pub(super) audit: Option<Unsynced>,
    /// Who waits until they are on the disk.
    pub(super) done: oneshot::Sender<Result<(), Unkept>>,
}

/// The state of the thread.
pub(super) struct Keeper<S: Shape> {
    writes: Receiver<Write<S::Change>>,
    /// The one that did not fit into the batch before.
    next: Option<Write<S::Change>>,
    /// None after a failure, until it could be opened again. Closed first.
    writer: Option<Writer<S>>,
    database: Arc<Database<S>>,
}

impl<S: Shape> Keeper<S> {
    pub(super) fn start(
        name: &str,
        writes: Receiver<Write<S::Change>>,
        database: Arc<Database<S>>,
        writer: Writer<S>,
    ) -> Result<(), StoreError> {
        let keeper = Self {
            writes,
            next: None,
            writer: Some(writer),
            database,
        };
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || keeper.keep())
            .map(drop)
            .map_err(|error| StoreError::Thread(Arc::new(error)))
    }

    /// Ends when nobody is left who could write.
    fn keep(mut self) {
        let mut were = 1;
        while let Some(first) = self.next.take().or_else(|| self.writes.recv().ok()) {
            thread::sleep(gather(were));
            let batch = self.batch(first);
            were = batch.len();
            self.settle(batch);
        }
    }

    /// Those that share a commit with this one.
    fn batch(&mut self, first: Write<S::Change>) -> Vec<Write<S::Change>> {
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

    /// Syncs the audit that has to be there before, commits, and tells.
    fn settle(&mut self, batch: Vec<Write<S::Change>>) {
        let (batch, kept) = foremost(|| {
            let batch = with_audit(batch);
            let kept = self.commit(&batch);
            (batch, kept)
        });
        for write in batch {
            // Who does not wait any more need not know.
            let _ = write.done.send(kept.clone().map_err(Unkept::Store));
        }
    }

    fn commit(&mut self, batch: &[Write<S::Change>]) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(self.database.writer()?),
        };
        let changes = batch.iter().flat_map(|write| &write.changes);
        let written = writer.write(changes);
        written.map_err(|error| {
            // What is on the disk is unknown: the next one opens the file again, and
            // has the whole log written anew.
            self.writer = None;
            StoreError::database(self.database.path(), error)
        })
    }
}

fn size<S: Shape>(write: &Write<S::Change>) -> usize {
    write.changes.iter().map(S::size).sum()
}

/// How long to wait for more, when so many came together the last time. Two syncs and a
/// commit cost the processor as much as some short runs do, however many share them:
/// the more there are, the more it is worth. One who comes alone does not wait.
fn gather(were: usize) -> Duration {
    match u32::try_from(were).unwrap_or(u32::MAX) {
        0 | 1 => Duration::ZERO,
        many => EACH.saturating_mul(many).min(LONGEST),
    }
}

/// Syncs each chain once; those whose chain fails are told, and left out.
fn with_audit<C>(batch: Vec<Write<C>>) -> Vec<Write<C>> {
    let mut chains: Vec<(AuditLog, Result<(), Arc<AuditError>>)> = Vec::new();
    let mut left = Vec::with_capacity(batch.len());
    for write in batch {
        let synced = match &write.audit {
            Some(audit) => sync(&mut chains, audit.log()),
            None => Ok(()),
        };
        match synced {
            Ok(()) => left.push(write),
            Err(error) => {
                let _ = write.done.send(Err(Unkept::Audit(error)));
            }
        }
    }
    left
}

/// Syncs a chain, unless it was among those.
fn sync(
    chains: &mut Vec<(AuditLog, Result<(), Arc<AuditError>>)>,
    chain: &AuditLog,
) -> Result<(), Arc<AuditError>> {
    if let Some((_, synced)) = chains.iter().find(|(known, _)| known.is(chain)) {
        return synced.clone();
    }
    let synced = chain.sync_here().map_err(Arc::new);
    chains.push((chain.clone(), synced.clone()));
    synced
}

//! The thread that writes.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use std::{iter, thread};

use tokio::sync::oneshot;
use uuid::Uuid;

use super::database::{Database, Writer};
use super::record::Stored;
use super::{StoreError, Unkept};
use crate::audit::{AuditError, AuditLog, Unsynced};
use crate::priority::foremost;

/// Writes that share one commit at most.
const BATCH: usize = 4_096;

/// How long each that came the last time lets the next ones wait.
const EACH: Duration = Duration::from_micros(40);

/// The longest that they wait.
const LONGEST: Duration = Duration::from_millis(2);

/// One change of what is kept.
pub(super) enum Change {
    /// That a run began; nothing when more is known of it.
    Begin(Uuid, Stored),
    /// A run, in place of what was there of it.
    Put(Uuid, Stored),
    Forget(Uuid),
}

impl Change {
    /// Roughly what it makes the log grow by, in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Begin(_, stored) | Self::Put(_, stored) => {
                stored.head.len() + stored.rest.as_ref().map_or(0, Vec::len)
            }
            Self::Forget(_) => size_of::<Uuid>(),
        }
    }
}

/// Changes that belong together.
pub(super) struct Write {
    pub(super) changes: Vec<Change>,
    /// What has to be on the disk before.
    pub(super) audit: Option<Unsynced>,
    /// Who waits until they are on the disk.
    pub(super) done: oneshot::Sender<Result<(), Unkept>>,
}

/// The state of the thread.
pub(super) struct Keeper {
    writes: Receiver<Write>,
    database: Arc<Database>,
    /// None after a failure, until it could be opened again.
    writer: Option<Writer>,
}

impl Keeper {
    pub(super) fn start(
        writes: Receiver<Write>,
        database: Arc<Database>,
        writer: Writer,
    ) -> Result<(), StoreError> {
        let keeper = Self {
            writes,
            database,
            writer: Some(writer),
        };
        thread::Builder::new()
            .name("results".to_owned())
            .spawn(move || keeper.keep())
            .map(drop)
            .map_err(|error| StoreError::Thread(Arc::new(error)))
    }

    /// Ends when nobody is left who could write.
    fn keep(mut self) {
        let mut were = 1;
        while let Ok(first) = self.writes.recv() {
            thread::sleep(gather(were));
            let others = self.writes.try_iter().take(BATCH);
            let batch: Vec<_> = iter::once(first).chain(others).collect();
            were = batch.len();
            self.settle(batch);
        }
    }

    /// Syncs the audit that has to be there before, commits, and tells.
    fn settle(&mut self, batch: Vec<Write>) {
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

    fn commit(&mut self, batch: &[Write]) -> Result<(), StoreError> {
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
fn with_audit(batch: Vec<Write>) -> Vec<Write> {
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

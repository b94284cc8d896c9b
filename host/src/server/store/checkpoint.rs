//! Taking over the log into the file, beside the thread that writes.
//!
//! SQLite would do it within a commit, and all who share that commit would wait for
//! megabytes to be written. Here another thread does the bulk of it while commits go
//! on; what came in the meantime is little, and the writing thread takes that over
//! itself, after which the log begins anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use rusqlite::Connection;

use super::StoreError;
use crate::priority::Background;

/// By how much the log grows until it is taken over, in bytes: some thousand runs that
/// share commits. It is far from where SQLite would do it itself.
const EVERY: usize = 8 << 20;

/// What a commit makes the log grow by beside its changes, in bytes: whole pages of 4 KiB,
/// two to three for one run.
const COMMIT: usize = 12 << 10;

/// How often the thread takes over, one time after the other.
const PASSES: usize = 3;

/// Nothing is to be done.
const IDLE: u8 = 0;
/// The thread takes over.
const UNDER_WAY: u8 = 1;
/// It has; the rest is the writer's.
const DONE: u8 = 2;

/// The thread. Dropped, it ends after what it is doing.
pub(super) struct Checkpoints {
    ask: SyncSender<()>,
    state: Arc<AtomicU8>,
    /// Bytes that the log has grown by since it was asked last, roughly.
    written: usize,
}

impl Checkpoints {
    pub(super) fn start(connection: Connection) -> Result<Self, StoreError> {
        let (ask, asked) = mpsc::sync_channel(1);
        let state = Arc::new(AtomicU8::new(IDLE));
        let own = Arc::clone(&state);
        thread::Builder::new()
            .name("results-log".to_owned())
            .spawn(move || {
                // Whoever waits for a commit comes first.
                Background::Lowest.enter();
                work(&connection, &asked, &own);
            })
            .map_err(|error| StoreError::Thread(Arc::new(error)))?;
        Ok(Self {
            ask,
            state,
            written: 0,
        })
    }

    /// Changes of so many bytes were committed with this connection.
    pub(super) fn committed(&mut self, bytes: usize, writer: &Connection) {
        self.written += COMMIT + bytes;
        match self.state.load(Ordering::Acquire) {
            IDLE if self.written >= EVERY => {
                self.written = 0;
                self.state.store(UNDER_WAY, Ordering::Release);
                if self.ask.try_send(()).is_err() {
                    self.state.store(DONE, Ordering::Release);
                }
            }
            DONE => {
                take_over(writer);
                self.state.store(IDLE, Ordering::Release);
            }
            _ => {}
        }
    }
}

fn work(connection: &Connection, asked: &Receiver<()>, state: &AtomicU8) {
    while asked.recv().is_ok() {
        // Each time there is less left of what came in the meantime.
        for _ in 0..PASSES {
            take_over(connection);
        }
        state.store(DONE, Ordering::Release);
    }
}

/// Takes over what can be without waiting for anybody.
fn take_over(connection: &Connection) {
    let done = connection.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()));
    if let Err(error) = done {
        // Nothing is lost: it stays in the log, and the next one takes it over too.
        tracing::warn!(%error, "the log of the kept results grows: it cannot be taken over");
    }
}

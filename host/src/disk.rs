//! Waiting for the disk: without holding up others, and together with them.

use std::fs::File;
use std::io;

use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::watch;

/// Does on this very thread what waits for the disk. Another thread takes over
/// what else the runtime had for this one: handing the work itself over, and
/// its result back, would take as long as a good disk.
pub(crate) fn wait<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        // The one thread there is has to wait in any case.
        _ => work(),
    }
}

/// The syncs of one file. Those who wait at the same time share one.
pub(crate) struct Syncs {
    state: Mutex<State>,
    /// Tells those who wait that one has ended.
    ended: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    /// How many began.
    begun: u64,
    /// How many ended.
    ended: u64,
    /// What one that failed said. What is on the disk is unknown then, and the
    /// next one would not tell.
    failed: Option<(io::ErrorKind, Option<i32>)>,
}

/// What is left to do for one who waits.
enum Turn {
    /// To do the next one, for all who wait.
    Lead,
    /// To wait until the one under way has ended.
    Wait(watch::Receiver<()>),
}

impl Default for Syncs {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            ended: watch::Sender::new(()),
        }
    }
}

impl Syncs {
    /// Waits for a sync that begins after this call: all that was written
    /// before is on disk then.
    ///
    /// # Errors
    /// When it fails, or an earlier one did.
    pub(crate) async fn sync(&self, file: &File) -> io::Result<()> {
        let ours = self.state.lock().begun + 1;
        while let Some(turn) = self.turn(ours)? {
            match turn {
                Turn::Lead => self.lead(file),
                // Ends only with this value, which is borrowed.
                Turn::Wait(mut ended) => _ = ended.changed().await,
            }
        }
        Ok(())
    }

    /// What is to be done until the sync with this number, or a later one, has
    /// ended; nothing when it has.
    fn turn(&self, ours: u64) -> io::Result<Option<Turn>> {
        let mut state = self.state.lock();
        if let Some((kind, code)) = state.failed {
            return Err(code.map_or_else(|| kind.into(), io::Error::from_raw_os_error));
        }
        Ok(if state.ended >= ours {
            None
        } else if state.begun == state.ended {
            state.begun += 1;
            Some(Turn::Lead)
        } else {
            // Under the lock, so that its end is not missed.
            Some(Turn::Wait(self.ended.subscribe()))
        })
    }

    fn lead(&self, file: &File) {
        let result = wait(|| file.sync_data());
        let mut state = self.state.lock();
        state.ended = state.begun;
        state.failed = result
            .err()
            .map(|error| (error.kind(), error.raw_os_error()));
        drop(state);
        self.ended.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn who_waits_at_the_same_time_shares() {
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        let syncs = Arc::new(Syncs::default());
        let many = (0..400).map(|_| {
            let (file, syncs) = (Arc::clone(&file), Arc::clone(&syncs));
            tokio::spawn(async move {
                let begun = syncs.state.lock().begun;
                syncs.sync(&file).await.expect("synced");
                let ended = syncs.state.lock().ended;
                assert!(ended > begun, "one that began before");
            })
        });
        for one in futures_util::future::join_all(many).await {
            one.expect("no panic");
        }
        let state = syncs.state.lock();
        assert_eq!(state.begun, state.ended);
        assert!(state.begun <= 400, "{}", state.begun);
    }

    #[tokio::test]
    async fn one_that_failed_fails_for_ever() {
        let (read, _write) = io::pipe().expect("a pipe");
        let pipe = File::from(std::os::fd::OwnedFd::from(read));
        let syncs = Syncs::default();
        assert!(syncs.sync(&pipe).await.is_err(), "a pipe has no disk");
        let good = tempfile::tempfile().expect("a file");
        assert!(syncs.sync(&good).await.is_err());
    }
}

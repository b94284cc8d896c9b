//! Waiting for the disk: without holding up others, and together with them.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;
use std::{io, mem, thread};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use crate::lock::Mutex;
use crate::priority::{foremost, on_the_pool};

/// How long a thread that writes for many waits for more of them once several
/// came together: about what a good disk takes. A sync costs the processor as much
/// as a short run does, however many share it; one who comes alone does not wait.
const GATHER: Duration = Duration::from_micros(500);

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

/// The syncs of one file. Those who wait at the same time share one, and no
/// thread of the runtime does it: a thread that only waits for the disk does
/// them one after the other for as long as anybody wants one.
#[derive(Clone)]
pub(crate) struct Syncs(Arc<Shared>);

struct Shared {
    file: Arc<File>,
    state: Mutex<State>,
    /// How many were made, for tests: that a sync is shared shows nowhere else.
    #[cfg(test)]
    made: std::sync::atomic::AtomicUsize,
}

type Waiting = Vec<oneshot::Sender<io::Result<()>>>;

#[derive(Default)]
struct State {
    /// Who waits for the next one.
    waiting: Waiting,
    /// There is a thread that does the next one.
    is_under_way: bool,
    /// What one that failed said. What is on the disk is unknown then, and the
    /// next one would not tell.
    failed: Option<Failure>,
}

/// An error that can be told to many.
#[derive(Clone, Copy)]
struct Failure(io::ErrorKind, Option<i32>);

impl Syncs {
    pub(crate) fn new(file: Arc<File>) -> Self {
        Self(Arc::new(Shared {
            file,
            state: Mutex::default(),
            #[cfg(test)]
            made: std::sync::atomic::AtomicUsize::new(0),
        }))
    }

    /// Waits for a sync that begins after this call: all that was written
    /// before is on disk then. It must be called within a runtime.
    ///
    /// # Errors
    /// When it fails, or an earlier one did.
    pub(crate) async fn sync(&self) -> io::Result<()> {
        let (tell, told) = oneshot::channel();
        let is_first = {
            let mut state = self.0.state.lock();
            if let Some(failure) = state.failed {
                return Err(failure.into());
            }
            state.waiting.push(tell);
            !mem::replace(&mut state.is_under_way, true)
        };
        if is_first {
            let shared = Arc::clone(&self.0);
            drop(on_the_pool(move || shared.work()));
        }
        let told = told.await;
        told.unwrap_or_else(|_| Err(io::Error::other("the runtime ends")))
    }

    /// Whether one failed, and so all that follow will.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.state.lock().failed.is_some()
    }

    /// How many were made.
    #[cfg(test)]
    pub(crate) fn made(&self) -> usize {
        self.0.made.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// The same on this thread, which waits for the disk.
    ///
    /// # Errors
    /// As [`Syncs::sync`].
    pub(crate) fn sync_here(&self) -> io::Result<()> {
        if let Some(failure) = self.0.state.lock().failed {
            return Err(failure.into());
        }
        self.0.sync().map_err(Into::into)
    }
}

impl Shared {
    /// Syncs as long as anybody waits.
    fn work(&self) {
        let mut were_many = false;
        while let Some((waiting, failed)) = self.next(were_many) {
            were_many = waiting.len() > 1;
            let result = match failed {
                Some(failure) => Err(failure),
                None => self.sync(),
            };
            for tell in waiting {
                // Who does not wait any more need not know.
                let _ = tell.send(result.map_err(Into::into));
            }
        }
    }

    /// One sync. One that fails fails for ever.
    fn sync(&self) -> Result<(), Failure> {
        #[cfg(test)]
        self.made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let synced = foremost(|| self.file.sync_data());
        synced.map_err(|error| {
            let failure = Failure::of(&error);
            *self.state.lock().failed.get_or_insert(failure)
        })
    }

    /// Those whose turn it is, and whether one failed before theirs.
    fn next(&self, were_many: bool) -> Option<(Waiting, Option<Failure>)> {
        if were_many {
            thread::sleep(GATHER);
        }
        let mut state = self.state.lock();
        state.is_under_way = !state.waiting.is_empty();
        (state.is_under_way).then(|| (mem::take(&mut state.waiting), state.failed))
    }
}

impl Failure {
    fn of(error: &io::Error) -> Self {
        Self(error.kind(), error.raw_os_error())
    }
}

impl From<Failure> for io::Error {
    fn from(Failure(kind, code): Failure) -> Self {
        code.map_or_else(|| kind.into(), Self::from_raw_os_error)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn who_waits_at_the_same_time_shares() {
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        let syncs = Syncs::new(file);
        for _ in 0..20 {
            let many = (0..100).map(|_| {
                let syncs = syncs.clone();
                tokio::spawn(async move { syncs.sync().await.expect("synced") })
            });
            for one in futures_util::future::join_all(many).await {
                one.expect("no panic");
            }
        }
        assert!(syncs.0.state.lock().waiting.is_empty());
        assert!((20..2_000).contains(&syncs.made()), "{}", syncs.made());
    }

    /// However fast the disk is: all of these came before the sync began.
    #[tokio::test]
    async fn a_hundred_who_wait_have_one_sync_together() {
        let syncs = Syncs::new(Arc::new(tempfile::tempfile().expect("a file")));
        syncs.0.state.lock().is_under_way = true;
        let many = futures_util::future::join_all((0..100).map(|_| syncs.sync()));
        tokio::pin!(many);
        assert!(futures_util::poll!(&mut many).is_pending());
        assert_eq!(syncs.0.state.lock().waiting.len(), 100);
        syncs.0.work();
        assert!(many.await.iter().all(Result::is_ok));
        assert_eq!(syncs.made(), 1);
        // One who comes later has another.
        syncs.sync().await.expect("synced");
        assert_eq!(syncs.made(), 2);
    }

    #[tokio::test]
    async fn nobody_is_told_of_a_sync_that_began_before() {
        let syncs = Syncs::new(Arc::new(tempfile::tempfile().expect("a file")));
        // One is under way for as long as we like.
        syncs.0.state.lock().is_under_way = true;
        let told = Arc::new(AtomicBool::new(false));
        let waiting = {
            let (syncs, told) = (syncs.clone(), Arc::clone(&told));
            tokio::spawn(async move {
                syncs.sync().await.expect("synced");
                told.store(true, Ordering::SeqCst);
            })
        };
        tokio::task::yield_now().await;
        assert!(!told.load(Ordering::SeqCst), "it waits for the next one");
        syncs.0.work();
        waiting.await.expect("no panic");
        assert!(!syncs.0.state.lock().is_under_way);
    }

    #[tokio::test]
    async fn one_that_failed_fails_for_ever() {
        let (read, _write) = io::pipe().expect("a pipe");
        let pipe = File::from(std::os::fd::OwnedFd::from(read));
        let syncs = Syncs::new(Arc::new(pipe));
        assert!(!syncs.has_failed());
        assert!(syncs.sync().await.is_err(), "a pipe has no disk");
        assert!(syncs.has_failed());
        assert!(syncs.sync().await.is_err());
        assert!(syncs.0.state.lock().waiting.is_empty());
    }
}

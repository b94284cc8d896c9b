//! The thread that writes, and waits for the disk.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::database::Shape;
use super::inbox::{EACH, Inbox, LONGEST, Write, patience, with_audit};
use super::pen::Pen;
use super::{Pace, StoreError, Unkept};
use crate::audit::AuditLog;
use crate::priority::foremost;

/// [`EACH`] when none of them is in a hurry, and the longest of that.
const EACH_UNHURRIED: Duration = Duration::from_millis(2);
const LONGEST_UNHURRIED: Duration = Duration::from_millis(7);

/// One in so many of the unhurried runs under way may wait for the others: those keep the
/// processors busy meanwhile.
const ONE_IN: usize = 2;

/// The state of the thread.
pub(super) struct Keeper<S: Shape> {
    inbox: Inbox<S>,
    pen: Arc<Pen<S>>,
    queue: Arc<Queue>,
}

/// The way to the thread. Dropping the last clone ends it.
pub(super) struct Post<C> {
    writes: mpsc::Sender<Write<C>>,
    queue: Arc<Queue>,
    thread: Thread,
}

/// How many shared a commit.
#[derive(Debug, Clone, Copy, Default)]
struct Came {
    all: usize,
    /// Of them, those in a hurry.
    hurried: usize,
}

/// What is on its way to the thread.
#[derive(Default)]
struct Queue {
    hurried: AtomicUsize,
    unhurried: AtomicUsize,
    /// So many of the unhurried need not wait for more.
    enough: AtomicUsize,
    /// Each unhurried run under way has a share in it.
    crowd: Arc<()>,
}

/// An unhurried run under way, for as long as this lives.
pub(in crate::server) struct Member(#[expect(dead_code, reason = "counted")] Arc<()>);

impl<C> Clone for Post<C> {
    fn clone(&self) -> Self {
        Self {
            writes: self.writes.clone(),
            queue: Arc::clone(&self.queue),
            thread: self.thread.clone(),
        }
    }
}

impl Queue {
    fn of(&self, pace: Pace) -> &AtomicUsize {
        match pace {
            Pace::Soon => &self.hurried,
            Pace::Unhurried => &self.unhurried,
        }
    }

    fn is_hurried(&self) -> bool {
        self.hurried.load(SeqCst) > 0
    }

    fn is_due(&self) -> bool {
        self.is_hurried() || self.unhurried.load(SeqCst) >= self.enough.load(SeqCst)
    }

    /// Waits on the thread until enough are on their way, one of them is in a hurry, or it
    /// is time. Nobody wakes the thread before: that would cost what is to be saved.
    fn wait(&self, until: Instant) {
        let crowd = Arc::strong_count(&self.crowd).saturating_sub(1);
        self.enough.store(crowd / ONE_IN, SeqCst);
        while !self.is_due() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }
}

impl<C> Post<C> {
    /// Hands a write over. When the thread is gone it is dropped, and whoever waits for it
    /// learns that.
    pub(super) fn send(&self, write: Write<C>) {
        self.queue.of(write.pace).fetch_add(1, SeqCst);
        drop(self.writes.send(write));
        if self.queue.is_due() {
            self.thread.unpark();
        }
    }

    /// Counts a run among the unhurried.
    pub(super) fn join(&self) -> Member {
        Member(Arc::clone(&self.queue.crowd))
    }
}

impl<S: Shape> Keeper<S> {
    pub(super) fn start(name: &str, pen: Arc<Pen<S>>) -> Result<Post<S::Change>, StoreError> {
        let (writes, received) = mpsc::channel();
        let queue = Arc::new(Queue::default());
        let keeper = Self {
            inbox: Inbox::new(received),
            pen,
            queue: Arc::clone(&queue),
        };
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || keeper.keep())
            .map_err(|error| StoreError::Thread(Arc::new(error)))?;
        Ok(Post {
            writes,
            queue,
            thread: thread.thread().clone(),
        })
    }

    /// Ends when nobody is left who could write.
    fn keep(mut self) {
        let mut were = Came::default();
        while let Ok(first) = self.inbox.first() {
            self.gather(first.pace, were);
            let batch = self.inbox.batch(first);
            were = Came::default();
            for write in &batch {
                self.queue.of(write.pace).fetch_sub(1, SeqCst);
                were.all += 1;
                were.hurried += usize::from(write.pace == Pace::Soon);
            }
            self.settle(batch);
        }
    }

    /// Waits for those that will share a commit with one of this pace.
    fn gather(&self, pace: Pace, were: Came) {
        if pace == Pace::Unhurried {
            let longest = patience(were.all, EACH_UNHURRIED, LONGEST_UNHURRIED);
            self.queue.wait(Instant::now() + longest);
            if !self.queue.is_hurried() {
                return;
            }
        }
        // Who is in a hurry does not wait for more of those who are not.
        thread::sleep(patience(were.hurried, EACH, LONGEST));
    }

    /// Syncs the audit that has to be there before, commits, and tells.
    fn settle(&self, batch: Vec<Write<S::Change>>) {
        let (batch, kept) = foremost(|| {
            let batch = with_audit(batch, AuditLog::sync_here);
            let changes = batch.iter().flat_map(|write| &write.changes);
            let kept = match batch.is_empty() {
                true => Ok(()),
                false => self.pen.keep(changes),
            };
            (batch, kept)
        });
        for write in batch {
            // Who does not wait any more need not know.
            let _ = write.done.send(kept.clone().map_err(Unkept::Store));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    /// How long a thread waits for more at most that ought not to.
    const FOR_EVER: Duration = Duration::from_secs(60);

    fn write(pace: Pace) -> Write<()> {
        Write {
            changes: Vec::new(),
            pace,
            audit: None,
            done: oneshot::channel().0,
        }
    }

    /// Whether a thread that waits for more, of so many runs under way, still does after
    /// each of these writes.
    fn is_waiting_after(runs: usize, paces: &[Pace]) -> Vec<bool> {
        let queue = Arc::new(Queue::default());
        let (writes, _received) = mpsc::channel();
        let waits = Arc::clone(&queue);
        let members = (0..runs).map(|_| Member(Arc::clone(&queue.crowd)));
        let members: Vec<_> = members.collect();
        queue.enough.store(usize::MAX, SeqCst);
        let thread = thread::spawn(move || waits.wait(Instant::now() + FOR_EVER));
        while queue.enough.load(SeqCst) == usize::MAX {
            thread::yield_now();
        }
        let post = Post {
            writes,
            queue,
            thread: thread.thread().clone(),
        };
        let mut waiting = Vec::new();
        for pace in paces {
            post.send(write(*pace));
            let until = Instant::now() + Duration::from_millis(50);
            while !thread.is_finished() && Instant::now() < until {
                thread::yield_now();
            }
            waiting.push(!thread.is_finished());
        }
        drop(members);
        waiting
    }

    #[test]
    fn who_is_in_no_hurry_waits_for_some_of_the_others() {
        let few = [Pace::Unhurried; 3];
        assert_eq!(is_waiting_after(6, &few), [true, true, false]);
        assert_eq!(is_waiting_after(2, &few[..1]), [false], "one of two");
    }

    #[test]
    fn nobody_waits_on_when_one_is_in_a_hurry() {
        let paces = [Pace::Unhurried, Pace::Soon];
        assert_eq!(is_waiting_after(100, &paces), [true, false]);
    }

    #[test]
    fn who_comes_alone_does_not_wait() {
        assert_eq!(
            patience(1, EACH_UNHURRIED, LONGEST_UNHURRIED),
            Duration::ZERO
        );
        assert_eq!(
            patience(2, EACH_UNHURRIED, LONGEST_UNHURRIED),
            EACH_UNHURRIED * 2
        );
        assert_eq!(
            patience(900, EACH_UNHURRIED, LONGEST_UNHURRIED),
            LONGEST_UNHURRIED
        );
    }
}

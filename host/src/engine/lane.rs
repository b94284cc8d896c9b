//! The background lane: threads of their own, mostly of the lowest priority, on which guests run
//! that have used up their share of the runtime's own threads.
//!
//! A guest on the lane is polled *within its runtime's context*: what its calls
//! need of the runtime (timers, sockets, tasks of their own) goes to the
//! runtime's threads, so that no connection waits for a thread of low priority.
//! Only the guest itself, and the host's work on its calls, is done here.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::growth::GrowthRate;
use crate::lock::{Condvar, Mutex};
use crate::priority::{Background, Manners};

/// Work that can change threads between two polls.
pub(super) type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Tells of the end of work: with its value, or with what it panicked with.
type Teller<T> = oneshot::Sender<thread::Result<T>>;

/// The lane of one engine. Its threads start with the first guests that need
/// them and end with it.
pub(super) struct Lane {
    queue: Arc<Queue>,
    threads: Mutex<usize>,
    most_threads: usize,
    priority: Background,
    growth_rate: Arc<GrowthRate>,
}

#[derive(Default)]
struct Queue {
    turns: Mutex<Turns>,
    filled: Condvar,
}

#[derive(Default)]
struct Turns {
    ready: VecDeque<Arc<dyn Turn>>,
    /// The lane is gone.
    closed: bool,
}

/// One turn of a job on a thread of the lane.
trait Turn: Send + Sync {
    fn take(self: Arc<Self>);
}

impl Lane {
    pub(super) fn new(priority: Background) -> Self {
        let most_threads = thread::available_parallelism().map_or(1, usize::from);
        Self::with_threads(most_threads, priority)
    }

    fn with_threads(most_threads: usize, priority: Background) -> Self {
        Self {
            queue: Arc::default(),
            threads: Mutex::new(0),
            most_threads,
            priority,
            growth_rate: Arc::new(GrowthRate::new(priority, most_threads)),
        }
    }

    /// How fast its guests grow.
    pub(super) fn growth_rate(&self) -> &Arc<GrowthRate> {
        &self.growth_rate
    }

    /// Goes on with this work on the lane. It must be called within the runtime
    /// that the work belongs to.
    ///
    /// # Errors
    /// Gives the work back when the system has no thread for it.
    pub(super) fn take<T: Send + 'static>(&self, work: Work<T>) -> Result<Ticket<T>, Work<T>> {
        if !self.has_thread() {
            return Err(work);
        }
        let (tell, told) = oneshot::channel();
        let job = Arc::new(Job {
            queue: Arc::clone(&self.queue),
            runtime: Handle::current(),
            state: Mutex::new(State::Queued),
            stopped: AtomicBool::new(false),
            work: Mutex::new(Some((work, tell))),
        });
        // What woke the work so far is on another thread: it has to be asked anew.
        self.queue.push(Arc::<Job<T>>::clone(&job));
        Ok(Ticket { job, told })
    }

    /// Starts one more thread for one more guest, up to one a processor.
    fn has_thread(&self) -> bool {
        let mut threads = self.threads.lock();
        if *threads < self.most_threads {
            let (queue, priority) = (Arc::clone(&self.queue), self.priority);
            let started = thread::Builder::new()
                .name("background".to_owned())
                .spawn(move || {
                    priority.enter();
                    let mut manners = Manners::of(priority);
                    while let Some(turn) = queue.pop() {
                        manners.take(|| turn.take());
                    }
                });
            match started {
                Ok(_) => *threads += 1,
                Err(error) => {
                    tracing::warn!(%error, "a thread for background work cannot start");
                }
            }
        }
        *threads > 0
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.queue.turns.lock().closed = true;
        self.queue.filled.notify_all();
    }
}

impl Queue {
    fn push(&self, turn: Arc<dyn Turn>) {
        self.turns.lock().ready.push_back(turn);
        self.filled.notify_one();
    }

    /// The next turn; none when the lane is gone.
    fn pop(&self) -> Option<Arc<dyn Turn>> {
        let mut turns = self.turns.lock();
        loop {
            if let Some(turn) = turns.ready.pop_front() {
                return Some(turn);
            }
            if turns.closed {
                return None;
            }
            turns = self.filled.wait(turns);
        }
    }
}

/// Work on the lane.
struct Job<T> {
    queue: Arc<Queue>,
    runtime: Handle,
    state: Mutex<State>,
    stopped: AtomicBool,
    /// The work and whom to tell of its end; none once it has ended. Only the
    /// thread whose turn it is holds the lock.
    work: Mutex<Option<(Work<T>, Teller<T>)>>,
}

/// Where a job stands. It is in the queue at most once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing to do until it is woken.
    Waiting,
    Queued,
    /// On a thread.
    Running,
    /// On a thread, and woken since.
    Woken,
}

impl<T: Send + 'static> Job<T> {
    fn poll(self: &Arc<Self>, work: &mut Work<T>) -> thread::Result<Poll<T>> {
        let waker = Waker::from(Arc::clone(self));
        catch_unwind(AssertUnwindSafe(|| {
            // With the runtime's context, its budget for one turn and its leave to
            // block.
            self.runtime.block_on(poll_fn(|_| {
                Poll::Ready(work.as_mut().poll(&mut Context::from_waker(&waker)))
            }))
        }))
    }
}

impl<T: Send + 'static> Turn for Job<T> {
    fn take(self: Arc<Self>) {
        *self.state.lock() = State::Running;
        let mut slot = self.work.lock();
        let Some((work, _)) = &mut *slot else { return };
        let end = if self.stopped.load(Ordering::Acquire) {
            None
        } else {
            match self.poll(work) {
                Ok(Poll::Pending) => {
                    drop(slot);
                    let mut state = self.state.lock();
                    let is_due = *state == State::Woken || self.stopped.load(Ordering::Acquire);
                    *state = if is_due {
                        State::Queued
                    } else {
                        State::Waiting
                    };
                    drop(state);
                    if is_due {
                        let queue = Arc::clone(&self.queue);
                        queue.push(self);
                    }
                    return;
                }
                Ok(Poll::Ready(value)) => Some(Ok(value)),
                Err(panic) => Some(Err(panic)),
            }
        };
        let Some((work, tell)) = slot.take() else {
            return;
        };
        // The end is told when nothing of the work is left. What is dropped may
        // need the runtime: to tell a server that nobody waits any more.
        let context = self.runtime.enter();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(work)));
        drop(context);
        let end = match (end, dropped) {
            (Some(Ok(_)) | None, Err(panic)) => Some(Err(panic)),
            (end, _) => end,
        };
        if let Some(end) = end {
            // Nobody may be there to hear it.
            let _ = tell.send(end);
        }
    }
}

impl<T: Send + 'static> Wake for Job<T> {
    fn wake(self: Arc<Self>) {
        let mut state = self.state.lock();
        match *state {
            State::Waiting => {
                *state = State::Queued;
                drop(state);
                let queue = Arc::clone(&self.queue);
                queue.push(self);
            }
            State::Running => *state = State::Woken,
            State::Queued | State::Woken => {}
        }
    }
}

/// The right to the result of work on the lane. Dropping it stops the work at
/// its next turn.
pub(super) struct Ticket<T: Send + 'static> {
    job: Arc<Job<T>>,
    told: oneshot::Receiver<thread::Result<T>>,
}

impl<T: Send + 'static> Ticket<T> {
    /// Waits for the result. Can be dropped and called again; once it has
    /// resolved, it never does again.
    ///
    /// # Panics
    /// When the work panicked, with what it panicked with.
    pub(super) async fn result(&mut self) -> T {
        match (&mut self.told).await {
            Ok(Ok(value)) => value,
            Ok(Err(panic)) => resume_unwind(panic),
            // Stopped: whoever did that has no use for a result.
            Err(_) => std::future::pending().await,
        }
    }

    /// Stops the work and waits until nothing of it is left.
    pub(super) async fn stop(mut self) {
        self.ask();
        // What it came to in between does not count any more.
        let _ = (&mut self.told).await;
    }

    fn ask(&self) {
        self.job.stopped.store(true, Ordering::Release);
        Arc::clone(&self.job).wake();
    }
}

impl<T: Send + 'static> Drop for Ticket<T> {
    fn drop(&mut self) {
        self.ask();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use rustix::process::getpriority_process;

    use super::*;
    use crate::priority::on_the_pool;

    /// As in `priority`.
    const LOW: i32 = 19;

    /// Tells when it is dropped.
    struct Dropped(Arc<AtomicUsize>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn take<T: Send + 'static>(
        lane: &Lane,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Ticket<T> {
        let Ok(ticket) = lane.take(Box::pin(work)) else {
            panic!("no thread");
        };
        ticket
    }

    /// Uses its turn up, for ever.
    async fn spin() {
        loop {
            thread::sleep(Duration::from_millis(1));
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn work_has_low_priority_and_its_runtime_has_not() {
        let lane = Lane::with_threads(1, Background::Lowest);
        let mut ticket = take(&lane, async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let own = getpriority_process(None).unwrap();
            // A task of its own, as a connection has.
            let spawned = tokio::spawn(async { getpriority_process(None).unwrap() });
            let blocked = crate::disk::wait(|| 7);
            (own, spawned.await.unwrap(), blocked)
        });
        let here = getpriority_process(None).unwrap();
        assert_eq!(ticket.result().await, (LOW, here, 7));
        assert_ne!(here, LOW);
    }

    #[tokio::test]
    async fn threads_of_the_pool_do_not_take_its_priority_over() {
        let lane = Lane::with_threads(1, Background::Lowest);
        let here = getpriority_process(None).unwrap();
        let own = || getpriority_process(None).unwrap();
        let mut polite = take(&lane, async move { on_the_pool(own).await });
        assert_eq!(polite.result().await.unwrap(), here);
        // As it would be: once all threads that there are have work, the next one is started
        // by the lane.
        let mut busy = Vec::new();
        let mut seen = Vec::new();
        while seen.last() != Some(&LOW) && seen.len() < 8 {
            let (end, ended) = std::sync::mpsc::channel::<()>();
            let (begin, begun) = oneshot::channel();
            let work = tokio::task::spawn_blocking(move || {
                begin.send(()).unwrap();
                ended.recv().unwrap_err()
            });
            busy.push((end, work));
            begun.await.unwrap();
            let mut plain = take(&lane, async move { tokio::task::spawn_blocking(own).await });
            seen.push(plain.result().await.unwrap());
        }
        assert_eq!(seen.last(), Some(&LOW), "{seen:?}");
        for (end, work) in busy {
            drop(end);
            work.await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn work_may_block_and_others_take_their_turns() {
        let lane = Lane::with_threads(1, Background::Lowest);
        let mut blocking = take(&lane, async {
            for _ in 0..3 {
                crate::disk::wait(|| thread::sleep(Duration::from_millis(5)));
                tokio::task::yield_now().await;
            }
        });
        let _spinning = take(&lane, spin());
        blocking.result().await;
    }

    #[tokio::test]
    async fn all_get_turns_on_one_thread_and_wakes_are_not_lost() {
        let lane = Lane::with_threads(1, Background::Lowest);
        let _spinning = [take(&lane, spin()), take(&lane, spin())];
        let mut tickets: Vec<_> = (0..50_u64)
            .map(|number| {
                take(&lane, async move {
                    for _ in 0..20 {
                        tokio::time::sleep(Duration::from_micros(number * 50)).await;
                        tokio::spawn(async {}).await.unwrap();
                    }
                    number
                })
            })
            .collect();
        for (number, ticket) in (0..).zip(&mut tickets) {
            assert_eq!(ticket.result().await, number);
        }
    }

    #[tokio::test]
    async fn stopped_work_is_gone_whether_it_waits_or_runs() {
        let lane = Lane::with_threads(1, Background::Lowest);
        let drops = Arc::new(AtomicUsize::new(0));
        for runs in [false, true] {
            let own = Dropped(Arc::clone(&drops));
            let ticket = take(&lane, async move {
                let _own = own;
                if runs {
                    spin().await;
                }
                std::future::pending::<()>().await;
            });
            tokio::time::sleep(Duration::from_millis(20)).await;
            let before = drops.load(Ordering::SeqCst);
            ticket.stop().await;
            assert_eq!(drops.load(Ordering::SeqCst), before + 1, "runs: {runs}");
        }
        // Let go of, it ends too, in its own time.
        let own = Dropped(Arc::clone(&drops));
        drop(take(&lane, async move {
            let _own = own;
            spin().await;
        }));
        take(&lane, async {}).result().await;
        assert_eq!(drops.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_panic_reaches_who_waits_and_nobody_else() {
        let lane = Lane::with_threads(1, Background::Lowest);
        let drops = Arc::new(AtomicUsize::new(0));
        let own = Dropped(Arc::clone(&drops));
        let mut ticket = take(&lane, async move {
            let _own = own;
            tokio::task::yield_now().await;
            panic!("planted");
        });
        let caught = futures_util::FutureExt::catch_unwind(AssertUnwindSafe(ticket.result())).await;
        let panic = caught.unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"planted"));
        assert_eq!(drops.load(Ordering::SeqCst), 1);
        assert_eq!(
            take(&lane, async { 5 }).result().await,
            5,
            "the thread lives"
        );
    }

    #[tokio::test]
    async fn without_a_thread_the_work_comes_back() {
        let lane = Lane::with_threads(0, Background::Lowest);
        let Err(work) = lane.take(Box::pin(async { 5 })) else {
            panic!("there is no thread");
        };
        assert_eq!(work.await, 5);
    }
}

//! Work that may take what others leave of the processor.

use std::num::NonZeroU64;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::setpriority_process;
use rustix::thread::{futex, set_current_timer_slack};
use rustix::time::Timespec;
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id, thread_schedule_policy,
};
use tokio::task::JoinError;

/// Where the policy below is refused: a thread with this nice value gets about a seventieth
/// of what a usual one gets when both want the same processor.
const LOWEST: i32 = 19;

/// `SCHED_IDLE`, sched(7): such a thread makes way at once when any other of its group
/// wakes, and who wakes may take its processor for an idle one. The lowest nice value
/// promises neither: the kernel may let the thread finish its time slice, 4 ms by a clock of
/// 250 Hz. It gets about a 340th of what a usual one gets.
const IDLE: ThreadSchedulePolicy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);

/// How guests that work long, and compiles, stand to the rest of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    /// Below everything: they take what short attempts leave, which notice them the less
    /// (docs/PERFORMANCE.md has the figures). Other
    /// processes on the same processors come first too, unless the process has
    /// a share of its own (a systemd unit or a container has).
    Lowest,
    /// As everything else: for a process of one attempt, which has nobody to
    /// make way for and must not starve on a busy machine.
    Usual,
}

impl Background {
    /// Gives the calling thread this priority for ever: going up again needs a
    /// privilege.
    ///
    /// On Linux a thread has a priority of its own, and hands it on to the
    /// threads that it starts.
    pub(crate) fn enter(self) {
        if self == Self::Usual {
            return;
        }
        // It wants to set the nice value too, which means nothing there and which a thread
        // that was started with a lower priority may not raise.
        let set = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, IDLE);
        if !matches!(thread_schedule_policy(), Ok(policy) if policy == IDLE) {
            tracing::warn!(error = ?set.err(), "a thread for background work keeps the usual policy");
        }
        if let Err(error) = setpriority_process(None, LOWEST) {
            tracing::warn!(%error, "a thread for background work keeps the usual priority");
        }
    }
}

/// Does what blocks on a thread of the runtime's pool, wherever the caller is. Such a thread
/// is started by whoever finds none idle, has that one's priority for ever, and serves others
/// afterwards; so here a worker starts it, and not a thread that has entered the lowest.
pub(crate) fn on_the_pool<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Result<T, JoinError>> {
    let begun = tokio::spawn(async { tokio::task::spawn_blocking(work).await });
    async { begun.await? }
}

/// How long a thread of the lowest priority works at a stretch, if its turns are shorter.
const STRETCH: Duration = Duration::from_micros(500);

/// How long it lets go of its processor then: longer than the kernel's workers need for
/// what they do at once.
const REST: Duration = Duration::from_micros(50);

/// How long it makes way for what is [`foremost`], which under load may never cease.
const PATIENCE: Duration = Duration::from_millis(5);

/// What is to be done before anything of the lowest priority, in this process. Without
/// a lock: a thread of the lowest priority would lose its processor while it has it, and
/// what is foremost would wait for that.
static FOREMOST: Foremost = Foremost {
    under_way: AtomicU32::new(0),
    turns: AtomicU32::new(0),
    begun: AtomicU32::new(0),
    asked: AtomicU32::new(0),
};

struct Foremost {
    under_way: AtomicU32,
    /// Turns of the lowest priority that are being taken.
    turns: AtomicU32,
    /// How many were begun so far.
    begun: AtomicU32,
    /// How often they were asked to end.
    asked: AtomicU32,
}

/// Does what everybody waits for and the kernel does with threads of its own: a sync of the
/// disk. Meanwhile no turn of the lowest priority is begun, and those that are being taken
/// are asked to end.
///
/// Priorities alone do not see to that: they count within a session or control group (sched(7),
/// "The autogroup feature"), and the kernel's threads are in none of ours. One that has
/// to share a processor with a thread of the lowest priority waits for it as for
/// anyone, whole time slices long.
pub(crate) fn foremost<T>(work: impl FnOnce() -> T) -> T {
    let _under_way = UnderWay::begin();
    work()
}

struct UnderWay;

impl UnderWay {
    fn begin() -> Self {
        FOREMOST.under_way.fetch_add(1, SeqCst);
        if FOREMOST.turns.load(SeqCst) > 0 {
            FOREMOST.asked.fetch_add(1, SeqCst);
            wake_all(&FOREMOST.asked);
        }
        Self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if FOREMOST.under_way.fetch_sub(1, SeqCst) == 1 {
            wake_all(&FOREMOST.under_way);
        }
    }
}

/// Waits so long, or until turns of the lowest priority are asked to end.
pub(crate) fn until_asked(seen: &mut u32, longest: Duration) {
    wait_while(&FOREMOST.asked, *seen, longest);
    *seen = FOREMOST.asked.load(SeqCst);
}

/// Whether turns of the lowest priority are being taken, or one was begun since the last
/// look: between two of them there is none for a moment, which says nothing.
pub(crate) fn turns_are_taken(begun: &mut u32) -> bool {
    let before = std::mem::replace(begun, FOREMOST.begun.load(SeqCst));
    *begun != before || FOREMOST.turns.load(SeqCst) > 0
}

/// Has the calling thread sleep no longer than it asks for: without this up to 50 µs.
pub(crate) fn sleep_exactly() {
    if let Err(error) = set_current_timer_slack(NonZeroU64::new(1)) {
        tracing::warn!(%error, "a thread sleeps longer than it should");
    }
}

/// The turns that a thread of the background takes.
pub(crate) struct Manners {
    /// It is of the lowest priority.
    makes_way: bool,
    rested: Instant,
}

impl Manners {
    /// Of the calling thread, which has entered this priority.
    pub(crate) fn of(priority: Background) -> Self {
        let makes_way = priority == Background::Lowest;
        if makes_way {
            sleep_exactly();
        }
        Self {
            makes_way,
            rested: Instant::now(),
        }
    }

    /// Takes a turn, when it may. Before it the kernel may give the processor to whoever woke
    /// meanwhile; now and then the thread rests, so that others who are in no group of ours have
    /// it too.
    pub(crate) fn take(&mut self, turn: impl FnOnce()) {
        if !self.makes_way {
            return turn();
        }
        if self.rested.elapsed() >= STRETCH {
            thread::sleep(REST);
            self.rested = Instant::now();
        } else {
            thread::yield_now();
        }
        let _taken = Taken::begin();
        turn();
    }
}

struct Taken;

impl Taken {
    fn begin() -> Self {
        let until = Instant::now() + PATIENCE;
        loop {
            FOREMOST.turns.fetch_add(1, SeqCst);
            // What begins from here on sees the turn, and asks it to end.
            let under_way = FOREMOST.under_way.load(SeqCst);
            let patience = until.saturating_duration_since(Instant::now());
            if under_way == 0 || patience.is_zero() {
                FOREMOST.begun.fetch_add(1, SeqCst);
                return Self;
            }
            FOREMOST.turns.fetch_sub(1, SeqCst);
            wait_while(&FOREMOST.under_way, under_way, patience);
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        FOREMOST.turns.fetch_sub(1, SeqCst);
    }
}

/// Waits so long at most while there is this number; may end before without a reason.
fn wait_while(number: &AtomicU32, seen: u32, longest: Duration) {
    let longest = Timespec::try_from(longest).ok();
    // Each error is a reason to look again: it changed, it took too long, a signal came.
    let _ = futex::wait(number, futex::Flags::PRIVATE, seen, longest.as_ref());
}

fn wake_all(number: &AtomicU32) {
    let all = i32::MAX.unsigned_abs();
    if let Err(error) = futex::wake(number, futex::Flags::PRIVATE, all) {
        tracing::warn!(%error, "threads of low priority cannot be woken");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn who_enters_the_lowest_makes_way_at_once() {
        let before = thread_schedule_policy().unwrap();
        let entered = |priority: Background| {
            let on_it = thread::spawn(move || {
                priority.enter();
                thread_schedule_policy().unwrap()
            });
            on_it.join().unwrap()
        };
        assert_eq!(entered(Background::Lowest), IDLE);
        assert_eq!(entered(Background::Usual), before);
        assert_ne!(before, IDLE);
    }

    #[test]
    fn no_turn_is_begun_beside_what_is_foremost() {
        let (turn, asked, ended) = foremost(|| {
            let asked = Instant::now();
            let turn = thread::spawn(move || {
                let mut begun = None;
                Manners::of(Background::Lowest).take(|| begun = Some(Instant::now()));
                begun
            });
            thread::sleep(Duration::from_millis(3));
            (turn, asked, Instant::now())
        });
        let begun = turn.join().unwrap().unwrap();
        // On a busy machine the three milliseconds may take longer than its patience.
        assert!(
            begun >= ended || begun - asked >= PATIENCE,
            "it did not wait"
        );
    }

    #[test]
    fn turns_that_are_taken_are_asked_to_end_and_others_not() {
        let long = Duration::from_secs(60);
        let (told, tell) = mpsc::channel();
        let mut seen = FOREMOST.asked.load(SeqCst);
        let mut manners = Manners::of(Background::Lowest);
        manners.take(|| {
            // What is foremost cannot wait for the turn: it may be this thread's.
            thread::spawn(move || foremost(|| told.send(()).unwrap()));
            tell.recv().unwrap();
            let begun = Instant::now();
            until_asked(&mut seen, long);
            assert!(begun.elapsed() < long, "nobody asked");
        });
    }
}

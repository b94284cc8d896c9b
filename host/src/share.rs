//! What one attempt has had of the runtime's own threads, on which everybody's short
//! work is done.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long an attempt may hold the runtime's threads in all. Who needs more works
/// on what others leave. It is what one guest costs its neighbours at most, so
/// there is no new share for a guest that waited: one that spins and sleeps by
/// turns would live on it.
const ALL: Duration = Duration::from_micros(300);

/// What each turn is free of, so that a guest that often waits and has little to
/// do in between (a call, a row) never uses its share up. It delays a neighbour no
/// more than another short attempt would.
const FREE: Duration = Duration::from_micros(50);

/// The share of one attempt. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Share(Arc<AtomicU64>);

impl Share {
    /// Whether the attempt has had its share, wherever it had it.
    pub(crate) fn is_used_up(&self) -> bool {
        Duration::from_nanos(self.0.load(Ordering::Relaxed)) >= ALL
    }

    /// Uses it up: what comes next is known to take long.
    pub(crate) fn use_up(&self) {
        let all = u64::try_from(ALL.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_max(all, Ordering::Relaxed);
    }

    /// Counts the turns of this work.
    pub(crate) fn count<W: Future>(&self, work: W) -> Counted<W> {
        Counted {
            work,
            share: self.clone(),
        }
    }

    fn add(&self, turn: Duration) {
        let beyond = turn.saturating_sub(FREE).as_nanos();
        if beyond > 0 {
            let beyond = u64::try_from(beyond).unwrap_or(u64::MAX);
            self.0.fetch_add(beyond, Ordering::Relaxed);
        }
    }
}

pin_project_lite::pin_project! {
    /// Work whose turns are counted.
    pub(crate) struct Counted<W> {
        #[pin]
        work: W,
        share: Share,
    }
}

impl<W: Future> Future for Counted<W> {
    type Output = W::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<W::Output> {
        let this = self.project();
        let begun = processor_time();
        let polled = this.work.poll(cx);
        this.share.add(processor_time().saturating_sub(begun));
        polled
    }
}

/// What this thread has had of the processor. A clock on the wall would count
/// what others took from a guest against it, and the busier the machine, the more
/// short guests would be sent to the background.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

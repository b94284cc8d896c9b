//! A guest that runs: first on the runtime's own threads, where a short one ends
//! within microseconds; on the background lane once it has used its share of them
//! up, or has grown large.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tracing::Instrument as _;

use super::lane::{Lane, Ticket, Work};
use super::limiter::Growth;

/// How long a guest may hold the runtime's threads in all. Who needs more works
/// on what others leave. It is what one guest costs its neighbours at most, so
/// there is no new share for a guest that waited: one that spins and sleeps by
/// turns would live on it.
const SHARE: Duration = Duration::from_millis(1);

/// What each turn is free of, so that a guest that often waits and has little to
/// do in between (a call, a row) never uses its share up. It delays a neighbour no
/// more than another short attempt would.
const FREE: Duration = Duration::from_micros(50);

/// A guest on its way to its result.
pub(super) struct Running<T: Send + 'static> {
    place: Place<T>,
    growth: Growth,
    lane: Arc<Lane>,
    /// Of its share.
    spent: Duration,
}

enum Place<T: Send + 'static> {
    Here(Work<T>),
    Lane(Ticket<T>),
    /// It has given its result.
    Over,
}

impl<T: Send + 'static> Running<T> {
    pub(super) fn new(work: Work<T>, growth: Growth, lane: &Arc<Lane>) -> Self {
        Self {
            place: Place::Here(work),
            growth,
            lane: Arc::clone(lane),
            spent: Duration::ZERO,
        }
    }

    /// Waits for its result, once. Can be dropped and called again until it
    /// resolves.
    ///
    /// # Panics
    /// When the guest's host functions do.
    pub(super) async fn result(&mut self) -> T {
        if let Place::Here(_) = self.place
            && let Some(value) = poll_fn(|cx| self.poll_here(cx)).await
        {
            self.place = Place::Over;
            return value;
        }
        let value = match &mut self.place {
            Place::Lane(ticket) => ticket.result().await,
            Place::Here(work) => work.await,
            Place::Over => std::future::pending().await,
        };
        self.place = Place::Over;
        value
    }

    /// One turn on this thread. Resolves to nothing when there is none left.
    fn poll_here(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Place::Here(work) = &mut self.place else {
            return Poll::Ready(None);
        };
        let begun = processor_time();
        if let Poll::Ready(value) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        let spent = processor_time().saturating_sub(begun);
        self.spent += spent.saturating_sub(FREE);
        if self.spent < SHARE && !self.growth.is_large() {
            return Poll::Pending;
        }
        let Place::Here(work) = std::mem::replace(&mut self.place, Place::Over) else {
            return Poll::Ready(None);
        };
        // What it does there is told under its run all the same.
        let work: Work<T> = Box::pin(work.in_current_span());
        self.place = match self.lane.take(work) {
            Ok(ticket) => Place::Lane(ticket),
            // No threads are left in the system: it goes on here.
            Err(work) => Place::Here(work),
        };
        Poll::Ready(None)
    }

    /// Ends it, if it has not ended, and waits until nothing of it is left. A
    /// guest on the lane is dropped there: giving back much memory takes time.
    pub(super) async fn end(self) {
        if let Place::Lane(ticket) = self.place {
            ticket.stop().await;
        }
    }
}

/// What this thread has had of the processor. A clock on the wall would count
/// what others took from a guest against it, and the busier the machine, the more
/// short guests would be sent to the background.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use tokio::task::yield_now;

    use super::*;
    use crate::priority::Background;

    /// Holds its thread so long in each turn; on which thread it ends.
    async fn turns(count: u32, each: Duration) -> String {
        for _ in 0..count {
            let begun = Instant::now();
            while begun.elapsed() < each {}
            yield_now().await;
        }
        place()
    }

    fn place() -> String {
        thread::current().name().unwrap_or_default().to_owned()
    }

    async fn run<T: Send + 'static>(
        lane: &Arc<Lane>,
        growth: &Growth,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let mut running = Running::new(Box::pin(work), growth.clone(), lane);
        let result = running.result().await;
        running.end().await;
        result
    }

    #[tokio::test]
    async fn who_has_used_its_share_up_goes_on_in_the_background() {
        let lane = Arc::new(Lane::new(Background::Lowest));
        let work = turns(20, Duration::from_micros(200));
        assert_eq!(run(&lane, &Growth::default(), work).await, "background");
    }

    #[tokio::test]
    async fn who_does_little_in_each_turn_stays() {
        let lane = Arc::new(Lane::new(Background::Lowest));
        // 2 ms in all. Another process may take the processor away in one turn, but
        // hardly in each try.
        let mut places = Vec::new();
        for _ in 0..20 {
            let work = turns(200, Duration::from_micros(10));
            places.push(run(&lane, &Growth::default(), work).await);
        }
        assert!(places.contains(&place()), "{places:?}");
    }

    #[tokio::test]
    async fn who_grows_large_goes_on_in_the_background_before_it_does() {
        let (lane, growth) = (Arc::new(Lane::new(Background::Lowest)), Growth::default());
        let work = {
            let growth = growth.clone();
            async move {
                growth.becomes_large().await;
                place()
            }
        };
        assert_eq!(run(&lane, &growth, work).await, "background");
    }

    #[tokio::test]
    async fn who_is_ended_is_gone() {
        let lane = Arc::new(Lane::new(Background::Lowest));
        for each in [1, 300].map(Duration::from_micros) {
            let held = Arc::new(());
            let own = Arc::clone(&held);
            let work = async move {
                let _own = own;
                turns(u32::MAX, each).await
            };
            let mut running = Running::new(Box::pin(work), Growth::default(), &lane);
            let limit = tokio::time::timeout(Duration::from_millis(30), running.result());
            assert!(limit.await.is_err());
            running.end().await;
            assert_eq!(Arc::strong_count(&held), 1);
        }
    }
}

//! A guest that runs: first on the runtime's own threads, where a short one ends
//! within microseconds; on the background lane once it has used its share of them
//! up, or has grown large.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use tracing::Instrument as _;

use super::growth::Growth;
use super::lane::{Lane, Ticket, Work};
use crate::share::Share;

/// How the guests of a component were. One whose last guests did not get along with their
/// share has the next one begin in the background: else whoever submits it again and
/// again would hold the runtime's threads with the shares alone.
#[derive(Default)]
pub(super) struct Habit(AtomicU8);

/// So many heavy guests more than light ones are a habit. One alone may have met with a
/// busy processor, and its neighbours of the same task should not pay for that.
const HABIT: u8 = 2;

/// What is remembered of more. Each light one makes up for one heavy one: who hides heavy
/// guests among light ones has to bring as many of those.
const MOST: u8 = 8;

impl Habit {
    fn is_heavy(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= HABIT
    }

    /// Remembers the last guest. Of two that end at once one may be forgotten.
    fn note(&self, was_heavy: bool) {
        let known = self.0.load(Ordering::Relaxed);
        let now = if was_heavy {
            known.saturating_add(1).min(MOST)
        } else {
            known.saturating_sub(1)
        };
        if now != known {
            self.0.store(now, Ordering::Relaxed);
        }
    }
}

/// A guest on its way to its result.
pub(super) struct Running<T: Send + 'static> {
    place: Place<T>,
    traits: Traits,
    lane: Arc<Lane>,
}

enum Place<T: Send + 'static> {
    Here(Work<T>),
    Lane(Ticket<T>),
    /// It has given its result.
    Over,
}

/// By what a guest is told to be heavy.
pub(super) struct Traits {
    pub(super) share: Share,
    pub(super) growth: Growth,
    pub(super) habit: Arc<Habit>,
}

impl Traits {
    /// As far as it has come.
    fn are_heavy(&self) -> bool {
        self.share.is_used_up() || self.growth.is_large()
    }
}

impl<T: Send + 'static> Running<T> {
    pub(super) fn new<W>(work: W, traits: Traits, lane: &Arc<Lane>) -> Self
    where
        W: Future<Output = T> + Send + 'static,
    {
        Self {
            place: Place::Here(Box::pin(traits.share.count(work))),
            traits,
            lane: Arc::clone(lane),
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
        if !self.traits.habit.is_heavy() && !self.traits.are_heavy() {
            if let Poll::Ready(value) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(value));
            }
            if !self.traits.are_heavy() {
                return Poll::Pending;
            }
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
        self.traits.habit.note(self.traits.are_heavy());
        if let Place::Lane(ticket) = self.place {
            ticket.stop().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::{Duration, Instant};

    use tokio::task::yield_now;

    use super::*;
    use crate::engine::growth::GrowthRate;
    use crate::priority::Background;

    impl Default for Traits {
        fn default() -> Self {
            Self {
                share: Share::default(),
                growth: Growth::at(&Arc::new(GrowthRate::new(Background::Usual, 1))),
                habit: Arc::default(),
            }
        }
    }

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
        traits: Traits,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let mut running = Running::new(work, traits, lane);
        let result = running.result().await;
        running.end().await;
        result
    }

    #[tokio::test]
    async fn who_has_used_its_share_up_goes_on_in_the_background() {
        let lane = Arc::new(Lane::new(Background::Lowest));
        let work = turns(20, Duration::from_micros(200));
        assert_eq!(run(&lane, Traits::default(), work).await, "background");
    }

    #[tokio::test]
    async fn who_does_little_in_each_turn_stays() {
        let lane = Arc::new(Lane::new(Background::Lowest));
        // 2 ms in all. Another process may take the processor away in one turn, but
        // hardly in each try.
        let mut places = Vec::new();
        for _ in 0..20 {
            let work = turns(200, Duration::from_micros(10));
            places.push(run(&lane, Traits::default(), work).await);
        }
        assert!(places.contains(&place()), "{places:?}");
    }

    #[tokio::test]
    async fn who_grows_large_goes_on_in_the_background_before_it_does() {
        let (lane, traits) = (Arc::new(Lane::new(Background::Lowest)), Traits::default());
        let work = {
            let growth = traits.growth.clone();
            async move {
                growth.becomes_large(1).await;
                place()
            }
        };
        assert_eq!(run(&lane, traits, work).await, "background");
    }

    #[tokio::test]
    async fn whose_component_is_heavy_begins_in_the_background_and_may_return() {
        let lane = Arc::new(Lane::new(Background::Lowest));
        let habit = Arc::new(Habit::default());
        let traits = || Traits {
            habit: Arc::clone(&habit),
            ..Traits::default()
        };
        let brief = || async { place() };
        assert_ne!(run(&lane, traits(), brief()).await, "background");
        let heavy = || turns(20, Duration::from_micros(200));
        run(&lane, traits(), heavy()).await;
        assert_ne!(run(&lane, traits(), brief()).await, "background", "once");
        run(&lane, traits(), heavy()).await;
        run(&lane, traits(), heavy()).await;
        assert_eq!(run(&lane, traits(), brief()).await, "background");
        assert_ne!(run(&lane, traits(), brief()).await, "background");
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
            let mut running = Running::new(work, Traits::default(), &lane);
            let limit = tokio::time::timeout(Duration::from_millis(30), running.result());
            assert!(limit.await.is_err());
            running.end().await;
            assert_eq!(Arc::strong_count(&held), 1);
        }
    }
}

//! A guest that runs: first on the runtime's own threads, where a short one ends
//! within microseconds; on the background lane once it has used its share of them
//! up, or has grown large.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

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
        let begun = Instant::now();
        if let Poll::Ready(value) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        self.spent += begun.elapsed().saturating_sub(FREE);
        if self.spent < SHARE && !self.growth.is_large() {
            return Poll::Pending;
        }
        let Place::Here(work) = std::mem::replace(&mut self.place, Place::Over) else {
            return Poll::Ready(None);
        };
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

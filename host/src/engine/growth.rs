//! How guests grow, and how fast all of them together may.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota};
use tokio::task::yield_now;

use super::limiter::Limit;
use crate::lock::Mutex;
use crate::priority::Background;

/// What is known of how a guest grew, also when its store is gone. Clones share it.
#[derive(Clone)]
pub(super) struct Growth(Arc<Grown>);

struct Grown {
    refused: Mutex<Option<Limit>>,
    is_large: AtomicBool,
    /// Bytes that make no page yet.
    odd: AtomicUsize,
    growth_rate: Arc<GrowthRate>,
}

impl Growth {
    /// Of a guest that has not grown yet, among those that grow at this rate together.
    pub(super) fn at(growth_rate: &Arc<GrowthRate>) -> Self {
        Self(Arc::new(Grown {
            refused: Mutex::default(),
            is_large: AtomicBool::new(false),
            odd: AtomicUsize::new(0),
            growth_rate: Arc::clone(growth_rate),
        }))
    }

    /// The last growth that was refused. A guest that runs out of memory ends in a
    /// plain `unreachable`; this tells what really happened.
    pub(super) fn refused(&self) -> Option<Limit> {
        *self.0.refused.lock()
    }

    /// Whether the guest is, or wants to be, too large for a thread that others
    /// wait for.
    pub(super) fn is_large(&self) -> bool {
        self.0.is_large.load(Ordering::Relaxed)
    }

    pub(super) fn refuse(&self, limit: Limit) {
        *self.0.refused.lock() = Some(limit);
    }

    /// The guest, which is no small one any more, wants so many bytes. It gives its thread
    /// to others, once, so that it can go on elsewhere, and waits for its turn to have them.
    pub(super) async fn becomes_large(&self, bytes: usize) {
        if !self.0.is_large.swap(true, Ordering::Relaxed) {
            yield_now().await;
        }
        // One guest grows once at a time.
        let bytes = bytes.saturating_add(self.0.odd.load(Ordering::Relaxed));
        self.0.odd.store(bytes % PAGE, Ordering::Relaxed);
        self.0.growth_rate.wait(bytes / PAGE).await;
    }
}

/// What is given at a time, in bytes: a page of WebAssembly.
const PAGE: usize = 64 << 10;

/// So many pages a second for each processor, 512 MiB. Each page has to be filled with
/// zeros by the kernel and is taken back at the guest's end, and what that does to caches, to
/// the memory's bus and to the kernel's own threads is felt by who shares no processor with
/// it (docs/PERFORMANCE.md, "Beside hostile guests").
const PAGES: u32 = 8 << 10;

/// So many at once for each processor, 256 MiB, after half a second without.
const AT_ONCE: u32 = 4 << 10;

/// So many are given in one turn.
const TURN: u32 = 16;

/// The longest that one growth waits: the rate is for everybody's sake, and whoever brings
/// many guests that wait must not keep others from growing at all.
const PATIENCE: Duration = Duration::from_secs(1);

/// How fast the large guests of one engine grow, all together.
pub(super) struct GrowthRate(Option<Given>);

struct Given {
    limiter: DefaultDirectRateLimiter,
    /// Who comes first is served first, one turn at a time; nobody else is awake meanwhile.
    turn: tokio::sync::Mutex<()>,
}

impl GrowthRate {
    /// Of an engine with so many threads for such guests. One that has nobody to make way for
    /// has none.
    pub(super) fn new(priority: Background, threads: usize) -> Self {
        let threads = u32::try_from(threads).unwrap_or(u32::MAX);
        let each = |pages: u32| NonZeroU32::new(pages.saturating_mul(threads));
        let quota = match (priority, each(PAGES), each(AT_ONCE)) {
            (Background::Lowest, Some(second), Some(at_once)) => {
                Some(Quota::per_second(second).allow_burst(at_once))
            }
            _ => None,
        };
        Self(quota.map(|quota| Given {
            limiter: DefaultDirectRateLimiter::direct(quota),
            turn: tokio::sync::Mutex::default(),
        }))
    }

    async fn wait(&self, pages: usize) {
        if let Some(given) = &self.0 {
            let pages = u32::try_from(pages).unwrap_or(u32::MAX);
            // Over or not, it grows now.
            let _ = tokio::time::timeout(PATIENCE, given.give(pages)).await;
        }
    }
}

impl Given {
    async fn give(&self, mut left: u32) {
        while let Some(pages) = NonZeroU32::new(left.min(TURN)) {
            let _turn = self.turn.lock().await;
            // One turn is never more than is given at once.
            while let Ok(Err(early)) = self.limiter.check_n(pages) {
                let pause = early.wait_time_from(DefaultClock::default().now());
                tokio::time::sleep(pause).await;
            }
            left -= pages.get();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// How long it takes to grow by so many mebibytes, a page at a time.
    async fn took(pace: &Arc<GrowthRate>, mebibytes: usize) -> Duration {
        let (growth, begun) = (Growth::at(pace), Instant::now());
        for _ in 0..mebibytes << 4 {
            growth.becomes_large(PAGE).await;
        }
        begun.elapsed()
    }

    #[tokio::test]
    async fn who_grows_on_and_on_waits() {
        let pace = Arc::new(GrowthRate::new(Background::Lowest, 1));
        assert!(took(&pace, 128).await < Duration::from_millis(200));
        // 128 more are there at once; for 256 it takes half a second.
        let both = tokio::join!(took(&pace, 192), took(&pace, 192));
        assert!(both.0.max(both.1) > Duration::from_millis(250), "{both:?}");
        let large = Growth::at(&pace);
        let begun = Instant::now();
        large.becomes_large(128 << 20).await;
        assert!(begun.elapsed() > Duration::from_millis(100), "all at once");
    }

    #[tokio::test]
    async fn who_wants_much_has_its_turns_beside_those_who_want_little() {
        let pace = Arc::new(GrowthRate::new(Background::Lowest, 1));
        took(&pace, 256).await;
        let little = || {
            tokio::spawn({
                let pace = Arc::clone(&pace);
                async move { took(&pace, 1 << 20).await }
            })
        };
        let little: Vec<_> = (0..16).map(|_| little()).collect();
        let given = pace.0.as_ref().expect("there is a pace");
        // A half of 512 MiB a second.
        let much = tokio::time::timeout(Duration::from_secs(5), given.give(256 << 4));
        assert!(much.await.is_ok(), "others had it all");
        assert!(
            little.iter().all(|one| !one.is_finished()),
            "nobody was beside it"
        );
        little.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn nobody_waits_for_long() {
        let pace = Arc::new(GrowthRate::new(Background::Lowest, 1));
        let begun = Instant::now();
        Growth::at(&pace).becomes_large(4 << 30).await;
        let took = begun.elapsed();
        assert!(took >= PATIENCE && took < 3 * PATIENCE, "{took:?}");
    }

    #[tokio::test]
    async fn what_makes_no_page_is_added_up() {
        let pace = Arc::new(GrowthRate::new(Background::Lowest, 1));
        let growth = Growth::at(&pace);
        let begun = Instant::now();
        for _ in 0..AT_ONCE * 4 {
            growth.becomes_large(8).await;
        }
        assert!(
            begun.elapsed() < Duration::from_millis(500),
            "each was a page"
        );
    }

    #[tokio::test]
    async fn who_is_alone_in_its_process_does_not() {
        let pace = Arc::new(GrowthRate::new(Background::Usual, 1));
        assert!(took(&pace, 4 << 10).await < Duration::from_millis(200));
    }
}

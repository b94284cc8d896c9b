//! How long a call waits between its tries, and how often it is tried.

use std::time::{Duration, Instant};

use rand::Rng;

/// How often a request is sent in all.
const TRIES: u32 = 9;

/// Wait before the first repetition when Vault names none, before jitter; it
/// doubles each time, so that `timeout` ends them before the tries do: its
/// default of 10 s is over at about the eighth.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The least time that a try is worth: with less it would only hide what the
/// one before it showed.
const ONE_TRY: Duration = Duration::from_millis(250);

/// The tries and the time that a call has left.
pub(super) struct Waits {
    deadline: Instant,
    tries: u32,
    wait: Duration,
}

impl Waits {
    pub(super) fn until(deadline: Instant) -> Self {
        Self {
            deadline,
            tries: TRIES,
            wait: FIRST_WAIT,
        }
    }

    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// How long to wait before the next try; none when there is none. Vault's
    /// own wish is a minimum: jitter comes on top of it.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.tries -= 1;
        let growing = jittered(self.wait);
        let pause = asked.map_or(growing, |asked| growing.max(asked + jittered(FIRST_WAIT)));
        self.wait *= 2;
        (self.tries > 0 && pause + ONE_TRY < self.left()).then_some(pause)
    }
}

/// Half to all of a wait, so that many hosts do not come back at once.
pub(in crate::vault) fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_bounded() {
        for _ in 0..1000 {
            let wait = jittered(Duration::from_millis(100));
            assert!((50..=100).contains(&wait.as_millis()), "{wait:?}");
        }
    }

    #[test]
    fn waits_grow_honour_a_wish_and_end() {
        let far = Instant::now() + Duration::from_secs(3600);
        for (asked, shortest, longest) in [(None, 12.0, 26.0), (Some(2), 21.0, 34.0)] {
            let asked = asked.map(Duration::from_secs);
            let mut waits = Waits::until(far);
            let pauses: Vec<_> = std::iter::from_fn(|| waits.next(asked)).collect();
            assert_eq!(pauses.len(), 8);
            assert!(
                pauses
                    .iter()
                    .all(|pause| asked.is_none_or(|asked| *pause >= asked))
            );
            let all = pauses.iter().sum::<Duration>().as_secs_f64();
            assert!((shortest..longest).contains(&all), "{all}");
        }
        // No wait that would not end in time.
        let mut waits = Waits::until(Instant::now() + Duration::from_secs(1));
        assert!(waits.next(Some(Duration::from_secs(1))).is_none());
    }
}

//! When something that ends is renewed: log-ins and leases alike.
//!
//! The schedule is that of Vault's own lifetime watcher: a grace of 10 to 20 %
//! of the life at random, a sleep of two thirds of what is left plus a third of
//! the grace, and no more renewals once the rest is within the grace. Its
//! endless repetition after errors is left out.

use std::time::Duration;

use rand::Rng;

use super::client::jittered;

/// The part of a life in which nobody renews any more.
const GRACE: std::ops::Range<f64> = 0.1..0.2;

/// No renewal more often than this: what lives shorter is made anew.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// The wait after a failure, before jitter; it doubles up to [`MAX_BACKOFF`].
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
const MAX_BACKOFF: Duration = Duration::from_secs(5 * 60);

/// Failures in a row until it is given up.
const MAX_FAILURES: u32 = 8;

/// The renewals of one thing.
pub(super) struct Schedule {
    /// The longest life that was granted so far.
    life: Duration,
    grace: Duration,
    failures: u32,
    backoff: Duration,
}

impl Schedule {
    /// For something that has this left.
    pub(super) fn new(left: Duration) -> Self {
        Self {
            life: left,
            grace: grace(left),
            failures: 0,
            backoff: FIRST_BACKOFF,
        }
    }

    /// It was renewed and has this left. Less than before means that its
    /// longest life comes near: the grace stays then.
    pub(super) fn granted(&mut self, left: Duration) {
        self.failures = 0;
        self.backoff = FIRST_BACKOFF;
        if left > self.life {
            self.life = left;
            self.grace = grace(left);
        }
    }

    /// It was not renewed. False when it is given up.
    pub(super) fn failed(&mut self) -> bool {
        self.failures += 1;
        if self.failures > 1 {
            self.backoff = (self.backoff * 2).min(MAX_BACKOFF);
        }
        self.failures < MAX_FAILURES
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// The last part of the life, in which a replacement is due.
    pub(super) fn grace(&self) -> Duration {
        self.grace
    }

    /// How long until the next renewal of what has this left; none when it is
    /// not worth while any more.
    pub(super) fn pause(&self, left: Duration) -> Option<Duration> {
        let pause = if self.failures > 0 {
            // A short life still gets a second try.
            jittered(self.backoff).min(left / 2)
        } else if left <= self.grace {
            return None;
        } else {
            left.mul_f64(2.0 / 3.0) + self.grace / 3
        };
        (pause >= MIN_PAUSE).then_some(pause)
    }
}

fn grace(life: Duration) -> Duration {
    life.mul_f64(rand::rng().random_range(GRACE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn renews_after_two_thirds_and_stops_within_the_grace() {
        for _ in 0..100 {
            let mut schedule = Schedule::new(HOUR);
            let first = schedule.pause(HOUR).expect("plenty left");
            let part = first.as_secs_f64() / HOUR.as_secs_f64();
            assert!((0.69..0.74).contains(&part), "{part}");
            // Renewals that put the end off no more: two or three of them.
            let (mut left, mut calls) = (HOUR, 0);
            while let Some(pause) = schedule.pause(left) {
                left -= pause;
                calls += 1;
                schedule.granted(left);
            }
            assert!((1..=3).contains(&calls), "{calls}");
            assert!(left <= schedule.grace() && left > Duration::ZERO);
        }
    }

    #[test]
    fn failures_are_counted_and_wait_longer_each_time() {
        let mut schedule = Schedule::new(HOUR);
        let mut waited = Vec::new();
        while schedule.failed() {
            waited.push(schedule.pause(HOUR).expect("plenty left").as_secs_f64());
        }
        assert_eq!(waited.len(), 7);
        for (wait, longest) in waited
            .iter()
            .zip([10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0])
        {
            assert!((longest / 2.0..=longest).contains(wait), "{waited:?}");
        }
        schedule.granted(HOUR);
        assert_eq!(schedule.failures(), 0);
        schedule.failed();
        assert!(schedule.pause(HOUR).expect("plenty left") <= FIRST_BACKOFF);
    }

    #[test]
    fn failures_of_a_short_life_are_bounded_too() {
        let mut schedule = Schedule::new(Duration::from_secs(30));
        let (mut left, mut calls) = (Duration::from_secs(9), 0);
        while schedule.failed()
            && let Some(pause) = schedule.pause(left)
        {
            left -= pause;
            calls += 1;
        }
        assert!((1..=4).contains(&calls), "{calls}");
    }
}

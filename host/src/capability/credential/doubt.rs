//! Whether a credential that was read is still the right one.

use std::time::{Duration, Instant};

/// How long a credential that was read again and had not changed is beyond
/// doubt; it doubles each time up to [`MAX_CALM`].
const FIRST_CALM: Duration = Duration::from_secs(10);
const MAX_CALM: Duration = Duration::from_secs(5 * 60);

/// The doubts about one generation of a credential. A server that refuses for
/// reasons of its own costs Vault one read at once and then fewer and fewer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Doubt {
    open: bool,
    /// Beyond doubt until then.
    calm: Option<Instant>,
    /// How often it was read again in vain.
    vain: u32,
}

impl Doubt {
    /// A server refused it. False when that is not looked into now.
    pub(super) fn raise(&mut self) -> bool {
        self.open |= self.calm.is_none_or(|calm| Instant::now() >= calm);
        self.open
    }

    /// Whether it is to be read again.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// It was looked into, and nothing had changed.
    pub(super) fn settle(&mut self) {
        *self = self.answered();
    }

    /// The doubts after a read that showed the same, whoever asked for it.
    pub(super) fn answered(self) -> Self {
        if !self.open {
            return self;
        }
        let calm = FIRST_CALM
            .saturating_mul(2_u32.saturating_pow(self.vain))
            .min(MAX_CALM);
        Self {
            open: false,
            calm: Some(Instant::now() + calm),
            vain: self.vain + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_doubt_counts_and_the_next_ones_wait() {
        let mut doubt = Doubt::default();
        assert!(!doubt.is_open());
        assert!(doubt.raise() && doubt.is_open());
        doubt.settle();
        assert!(!doubt.raise() && !doubt.is_open());
        let calm = doubt.calm.unwrap() - Instant::now();
        assert!(calm <= FIRST_CALM && calm > FIRST_CALM / 2);
        doubt.calm = Some(Instant::now());
        assert!(doubt.raise());
        for _ in 0..40 {
            doubt.open = true;
            doubt.settle();
        }
        assert!(doubt.calm.unwrap() - Instant::now() <= MAX_CALM);
    }
}

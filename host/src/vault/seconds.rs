//! Seconds that a server chose.
//!
//! The sum of an [`Instant`](std::time::Instant) and a number that somebody
//! else chose can be past the clock's end, and then it panics: in the middle of
//! a log-in whose token nobody has written down, or of an attempt's end. So
//! such numbers are cut where they are read, and any later sum is safe.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// The longest life that is believed, ten years: nothing here runs so long.
const LONGEST_LIFE: u64 = 10 * 365 * 24 * 60 * 60;

/// The longest wait that a server may ask for: no attempt waits so long.
const LONGEST_WAIT: u64 = 60 * 60;

/// Reads a life in seconds, for `deserialize_with`.
pub(super) fn life<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(u64::deserialize(deserializer)?.min(LONGEST_LIFE))
}

/// A `Retry-After` in its seconds form; a number too large for us is a long
/// wait as well. Vault sends no dates.
pub(super) fn wait(header: &str) -> Option<Duration> {
    let is_number = !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| {
        let seconds = header.parse().unwrap_or(LONGEST_WAIT);
        Duration::from_secs(seconds.min(LONGEST_WAIT))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[derive(Deserialize)]
    struct Answer {
        #[serde(default, deserialize_with = "life")]
        ttl: u64,
    }

    fn ttl(text: &str) -> Option<u64> {
        let answer = serde_json::from_str::<Answer>(text);
        answer.ok().map(|answer| answer.ttl)
    }

    #[test]
    fn a_life_can_always_be_added_to_a_clock() {
        assert_eq!(ttl("{}"), Some(0));
        assert_eq!(ttl("{\"ttl\": 3600}"), Some(3600));
        assert_eq!(ttl("{\"ttl\": -1}"), None);
        // The control: this is what the sums below would meet.
        assert!(Instant::now().checked_add(Duration::MAX).is_none());
        for huge in [u64::MAX, i64::MAX.unsigned_abs()] {
            let cut = ttl(&format!("{{\"ttl\": {huge}}}")).expect("a number");
            assert_eq!(cut, LONGEST_LIFE);
            let life = Duration::from_secs(cut);
            assert!(Instant::now().checked_add(life * 4).is_some());
        }
    }

    #[test]
    fn a_wait_is_an_hour_at_most() {
        for (header, seconds) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("18446744073709551615", Some(LONGEST_WAIT)),
            ("99999999999999999999999", Some(LONGEST_WAIT)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ] {
            assert_eq!(wait(header).map(|wait| wait.as_secs()), seconds, "{header}");
        }
    }
}

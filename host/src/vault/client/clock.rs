//! Vault's clock, as its answers about its health tell it.
//!
//! When a token ends is for Vault to say, by its own clock. What this host
//! writes down about ends is in Vault's time, so that nothing is taken for
//! expired that lives when the host's clock is wrong, or was when it was
//! written down. Waits and deadlines use the monotonic clock, which has no date.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};

/// From this difference on, people are told.
const TOLD: i64 = 60;

/// No answer yet.
const UNKNOWN: i64 = i64::MIN;

/// How far Vault's clock is ahead of ours, by the `Date` of its last answer about its health.
pub(super) struct ServerClock {
    /// Seconds.
    ahead: AtomicI64,
    told: AtomicBool,
}

impl ServerClock {
    pub(super) fn new() -> Self {
        Self {
            ahead: AtomicI64::new(UNKNOWN),
            told: AtomicBool::new(false),
        }
    }

    /// Notes the time of an answer that has just arrived.
    pub(super) fn note(&self, headers: &HeaderMap) {
        let Some(theirs) = date(headers) else {
            return;
        };
        let ahead = theirs.as_second() - Timestamp::now().as_second();
        self.ahead.store(ahead, Ordering::Relaxed);
        if ahead.abs() >= TOLD && !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                seconds = ahead.abs(),
                "this host's clock is {} vault's: set it right; the times in the audit are wrong, \
                 and certificates and signed log-ins may be refused",
                if ahead < 0 { "ahead of" } else { "behind" },
            );
        }
    }

    /// Vault's time, once it is known.
    pub(super) fn now(&self) -> Option<Timestamp> {
        match self.ahead.load(Ordering::Relaxed) {
            UNKNOWN => None,
            ahead => Timestamp::now()
                .checked_add(SignedDuration::from_secs(ahead))
                .ok(),
        }
    }
}

/// The server's time, as an answer tells it.
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let date = headers.get(http::header::DATE)?.to_str().ok()?;
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(date)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dated(date: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::DATE, date.parse().expect("a header"));
        headers
    }

    #[test]
    fn the_time_of_the_last_answer_counts() {
        let clock = ServerClock::new();
        assert!(clock.now().is_none());
        for (date, year) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 1994),
            ("Wed, 25 Nov 2099 08:13:23 GMT", 2099),
        ] {
            clock.note(&dated(date));
            let now = clock.now().expect("known").to_string();
            assert!(now.starts_with(&year.to_string()), "{now}");
        }
        for nonsense in ["", "soon", "Wed, 99 Nov 2026 08:13:23 GMT"] {
            clock.note(&dated(nonsense));
        }
        clock.note(&HeaderMap::new());
        assert!(clock.now().expect("known").to_string().starts_with("2099"));
    }
}

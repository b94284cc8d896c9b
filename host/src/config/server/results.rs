//! The `[server.results]` table.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::config::value::{self, Range};

/// How long the service keeps what became of a run, and its log. For as long it
/// knows the run's idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResultsConfig {
    /// From the run's end. Default `1h`.
    #[serde(deserialize_with = "keep")]
    pub keep: Duration,
    /// Runs that are kept at most; the oldest go first. Default 100,000.
    #[serde(deserialize_with = "most")]
    pub most: u64,
}

impl ResultsConfig {
    /// `keep`.
    pub const KEEP: Range<Duration> = Range {
        default: Duration::from_secs(3_600),
        min: Duration::from_secs(1),
        max: Duration::from_secs(30 * 24 * 3_600),
    };
    /// `most`.
    pub const MOST: Range<u64> = Range {
        default: 100_000,
        min: 1,
        max: 100_000_000,
    };
}

impl Default for ResultsConfig {
    fn default() -> Self {
        Self {
            keep: Self::KEEP.default,
            most: Self::MOST.default,
        }
    }
}

fn keep<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    value::duration(deserializer, &ResultsConfig::KEEP)
}

fn most<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    value::count(deserializer, &ResultsConfig::MOST)
}

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
    /// Bytes that they may take on the disk, in all; the oldest go first. Default 4 GiB.
    #[serde(deserialize_with = "disk")]
    pub disk: usize,
    /// The same of one caller. Default 2 GiB.
    #[serde(deserialize_with = "disk_per_caller")]
    pub disk_per_caller: usize,
    /// Whose end waits for the disk before it is told. Default `grants`.
    pub sync: SyncedEnds,
}

/// The runs whose end is on the disk, in the audit and in the results, before anybody is told.
///
/// The end of any other is told once it is written: it outlasts the service then, and is on
/// the disk a fiftieth of a second later. A power loss in between may take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncedEnds {
    /// All but those that can do nothing but answer, for they have no grants, whose caller
    /// waits for that answer, and of which nothing had to be written down before.
    #[default]
    Grants,
    /// All.
    All,
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
    /// `disk`. The least has room for the largest result (`limits.output`, 64 MiB) and
    /// the largest log (`limits.log`, 64 MiB, and twice that in JSON).
    pub const DISK: Range<usize> = Range {
        default: 4 << 30,
        min: 256 << 20,
        max: 16 << 40,
    };
    /// `disk_per_caller`.
    pub const DISK_PER_CALLER: Range<usize> = Range {
        default: 2 << 30,
        ..Self::DISK
    };
}

impl Default for ResultsConfig {
    fn default() -> Self {
        Self {
            keep: Self::KEEP.default,
            most: Self::MOST.default,
            disk: Self::DISK.default,
            disk_per_caller: Self::DISK_PER_CALLER.default,
            sync: SyncedEnds::default(),
        }
    }
}

fn keep<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    value::duration(deserializer, &ResultsConfig::KEEP)
}

fn most<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    value::count(deserializer, &ResultsConfig::MOST)
}

fn disk<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    value::size(deserializer, &ResultsConfig::DISK)
}

fn disk_per_caller<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    value::size(deserializer, &ResultsConfig::DISK_PER_CALLER)
}

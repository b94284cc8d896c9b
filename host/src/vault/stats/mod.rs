//! Numbers of what this process and Vault have to do with each other, for a
//! page of metrics.
//!
//! Counting is a few additions to atomics; reading takes no lock that an attempt
//! could wait for.

mod counters;
mod snapshot;

pub(super) use counters::{Counters, LiveLease, LiveToken};
pub use snapshot::{LogInStats, NodeStats, RequestOutcome, RequestStats, Stats};

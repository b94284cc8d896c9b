//! What a reload replaces as a whole: who may call, how much, and the tasks.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::access::Access;
use super::catalogue::Catalogue;
use super::queue::Places;
use super::tcp::Tcp;
use crate::caller::Owner;
use crate::config::{EngineConfig, ResultsConfig, ServerConfig, ServerLimits};

/// One state of the configuration and the grants.
pub(super) struct Settings {
    pub(super) access: Access,
    pub(super) limits: ServerLimits,
    pub(super) results: ResultsConfig,
    /// How long runs go on once the service ends.
    pub(super) drain: Duration,
    /// When a file of the audit is followed by a new one, in bytes.
    pub(super) audit_file: u64,
    pub(super) catalogue: Catalogue,
    /// None when the service listens on its socket alone.
    pub(super) tcp: ArcSwapOption<Tcp>,
    pub(super) pace: Pace,
}

/// How often each owner may submit.
pub(super) struct Pace(RateLimiter<Owner, HashMapStateStore<Owner>, DefaultClock>);

impl Settings {
    pub(super) fn new(
        config: &ServerConfig,
        access: Access,
        catalogue: Catalogue,
        tcp: Option<Tcp>,
    ) -> Self {
        Self {
            access,
            limits: config.limits,
            results: config.results,
            drain: config.drain,
            audit_file: config.audit_file as u64,
            catalogue,
            tcp: ArcSwapOption::new(tcp.map(Arc::new)),
            pace: Pace::new(config.limits.submissions_per_second),
        }
    }
}

impl Pace {
    fn new(per_second: u32) -> Self {
        let quota = Quota::per_second(NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN));
        Self(RateLimiter::hashmap(quota))
    }

    /// Counts one submission; the seconds to wait when it is one too many.
    pub(super) fn check(&self, owner: &Owner) -> Result<(), u64> {
        self.0.check_key(owner).map_err(|too_soon| {
            let wait = too_soon.wait_time_from(DefaultClock::default().now());
            wait.as_secs() + 1
        })
    }

    /// Forgets owners who have not submitted for a while.
    pub(super) fn tidy(&self) {
        self.0.retain_recent();
    }
}

/// The numbers of the queue.
pub(super) fn places(limits: &ServerLimits, engine: &EngineConfig) -> Places {
    let runs = limits
        .runs
        .unwrap_or(engine.instances)
        .min(engine.instances);
    Places {
        runs,
        per_caller: limits.runs_per_caller.unwrap_or(runs).min(runs),
        per_task: limits.runs_per_task.unwrap_or(runs).min(runs),
        queue: limits.queue,
        queue_per_caller: limits.queue_per_caller,
    }
}

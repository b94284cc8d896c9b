//! What is told to whoever asks.

use std::time::Duration;

use crate::vault::client::NodeHealth;
use crate::vault::error::Operation;
use crate::vault::{Vault, VaultError};

/// The numbers of one moment. Those that only grow count from the start of the
/// process.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Requests, for each pair of operation and outcome that there was.
    pub requests: Vec<RequestStats>,
    /// Attempts' tokens that were confirmed and whose end has not been tried yet.
    pub live_tokens: u64,
    /// Leases of attempts whose end has not been tried yet.
    pub live_leases: u64,
    /// The log-ins of the process.
    pub log_ins: LogInStats,
    /// Records of the journal that tell of something which may live, and which
    /// belong to nobody in this process: ends that were not complete, and what
    /// its sweeps found of dead processes and could not settle. What another
    /// process sweeps is noticed at this one's next sweep.
    pub pending_revocations: u64,
    /// The configured nodes in their order.
    pub nodes: Vec<NodeStats>,
}

/// Requests of one operation that ended in one way. Each try at each node counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestStats {
    /// What was asked.
    pub operation: Operation,
    /// How it ended.
    pub outcome: RequestOutcome,
    /// How many there were.
    pub count: u64,
    /// How long all of them took together.
    pub time: Duration,
}

/// How a request ended.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    strum::Display,
    strum::IntoStaticStr,
    strum::EnumIter,
    strum::EnumCount,
)]
#[strum(serialize_all = "snake_case")]
pub enum RequestOutcome {
    /// A status of 200 to 299; for a health check, a node that serves.
    Ok,
    /// 403: not allowed, or a dead token.
    Refused,
    /// 404.
    NotFound,
    /// 400, 405, 413: the request makes no sense to Vault.
    Invalid,
    /// 429: a rate limit or a quota.
    Limited,
    /// Vault, or something before it, cannot serve: 412, 472, 473, 5xx.
    Unavailable,
    /// No connection, or no whole answer in time.
    Unreachable,
    /// An answer that Vault does not give: a redirect, one that is far too long.
    Faulty,
    /// Nobody waited for the answer any more.
    Abandoned,
}

/// The log-ins of the process, those of attempts that log in as themselves aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogInStats {
    /// Made, or taken over from a lender.
    pub made: u64,
    /// Not made: refused, or no Vault.
    pub failed: u64,
    /// Renewals that Vault granted.
    pub renewed: u64,
    /// Renewals that it did not.
    pub not_renewed: u64,
}

/// What is known of one node.
#[derive(Debug, Clone)]
pub struct NodeStats {
    /// Its configured address.
    pub address: String,
    /// Whether it is the one that is asked now.
    pub is_current: bool,
    /// What it last said of its health, and how long ago; none when it was never
    /// asked.
    pub health: Option<(NodeHealth, Duration)>,
}

impl RequestOutcome {
    /// Why there is no answer.
    pub(in crate::vault) fn of_failure(error: &VaultError) -> Self {
        match error {
            VaultError::Unreachable { .. } => Self::Unreachable,
            _ => Self::Faulty,
        }
    }

    /// What a status means.
    pub(in crate::vault) fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Ok,
            403 => Self::Refused,
            404 => Self::NotFound,
            400 | 405 | 413 => Self::Invalid,
            429 => Self::Limited,
            412 | 472 | 473 | 500..=599 => Self::Unavailable,
            _ => Self::Faulty,
        }
    }
}

impl Stats {
    /// How many requests of this operation ended so.
    pub fn requests_of(&self, operation: Operation, outcome: RequestOutcome) -> u64 {
        let mut all = self.requests.iter();
        all.find(|one| (one.operation, one.outcome) == (operation, outcome))
            .map_or(0, |one| one.count)
    }
}

impl Vault {
    /// The numbers of this moment. Asks nobody.
    pub fn stats(&self) -> Stats {
        let (live_tokens, live_leases) = self.0.counters.live();
        Stats {
            requests: self.0.counters.requests(),
            live_tokens,
            live_leases,
            log_ins: self.0.counters.log_ins(),
            pending_revocations: self.0.journal.left() as u64,
            nodes: self.0.client.node_stats(),
        }
    }

    /// Asks every node at once how it does, and waits no longer than `limit`.
    pub async fn health(&self, limit: Duration) -> Vec<NodeHealth> {
        self.0.client.health_of_all(limit).await
    }
}

//! Numbers for Prometheus, in OpenMetrics text.

mod vault;

use std::sync::atomic::AtomicU64;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::lock::Mutex;
use crate::name::TaskName;
use crate::run::RunReport;
use crate::vault::Vault;

use super::token::BadToken;
use vault::VaultNumbers;

/// Bounds of the histogram of durations, in seconds: from what `hello` takes to
/// the longest `timeout` that is common.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0,
];

/// The numbers that the service counts itself.
pub(super) struct Metrics {
    registry: Mutex<Registry>,
    runs: Family<RunLabels, Counter>,
    seconds: Family<TaskLabels, Histogram, fn() -> Histogram>,
    limits: Family<LimitLabels, Counter>,
    denials: Family<TaskLabels, Counter>,
    unrevoked: Counter,
    requests: Family<RequestLabels, Counter>,
    tokens: Family<ReasonLabels, Counter>,
    gauges: Gauges,
}

/// What is read when somebody asks.
#[derive(Default)]
struct Gauges {
    running: Gauge,
    waiting: Gauge,
    kept: Gauge,
    connections: Gauge,
    ready: Gauge,
    vault_nodes: Family<NodeLabels, Gauge>,
    uptime: Gauge<f64, AtomicU64>,
    key_set_age: Gauge,
}

/// The gauges' values at one moment.
pub(super) struct Moment {
    pub(super) running: u32,
    pub(super) waiting: u32,
    pub(super) kept: usize,
    pub(super) is_ready: bool,
    pub(super) nodes: Vec<crate::api::VaultNode>,
    pub(super) uptime: f64,
    pub(super) key_set_age: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    task: String,
    outcome: &'static str,
    /// Empty for a run that has none.
    exit: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabels {
    task: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    limit: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeLabels {
    address: String,
}

/// A run under way. Dropped without a report it is counted as nothing.
pub(super) struct Running<'a> {
    metrics: &'a Metrics,
    task: String,
    begun: Instant,
}

fn durations() -> Histogram {
    Histogram::new(SECONDS)
}

impl Metrics {
    pub(super) fn new(vault: Option<Vault>) -> Self {
        let metrics = Self {
            registry: Mutex::default(),
            runs: Family::default(),
            seconds: Family::new_with_constructor(durations),
            limits: Family::default(),
            denials: Family::default(),
            unrevoked: Counter::default(),
            requests: Family::default(),
            tokens: Family::default(),
            gauges: Gauges::default(),
        };
        let mut registry = Registry::with_prefix("cofferdam");
        let r = &mut registry;
        r.register(
            "runs",
            "Runs that are over, by outcome",
            metrics.runs.clone(),
        );
        r.register_with_unit(
            "run_duration",
            "From a run's turn to its report",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        r.register(
            "limits_hit",
            "Limits that bit, of tasks and of callers",
            metrics.limits.clone(),
        );
        r.register(
            "denials",
            "Capability calls that were refused",
            metrics.denials.clone(),
        );
        r.register(
            "incomplete_revocations",
            "Runs at whose end a credential may have been left alive",
            metrics.unrevoked.clone(),
        );
        r.register("requests", "Requests to the API", metrics.requests.clone());
        r.register(
            "tokens_refused",
            "Tokens that were not taken, by reason",
            metrics.tokens.clone(),
        );
        let gauges = &metrics.gauges;
        r.register("runs_under_way", "Runs under way", gauges.running.clone());
        r.register(
            "runs_waiting",
            "Runs that wait for their turn",
            gauges.waiting.clone(),
        );
        r.register(
            "results_kept",
            "Runs that are over and kept",
            gauges.kept.clone(),
        );
        r.register(
            "connections",
            "Open connections",
            gauges.connections.clone(),
        );
        r.register(
            "ready",
            "Whether the service takes runs",
            gauges.ready.clone(),
        );
        r.register(
            "vault_node_serves",
            "Whether a node of Vault serves",
            gauges.vault_nodes.clone(),
        );
        r.register_with_unit(
            "uptime",
            "Since the service began",
            Unit::Seconds,
            gauges.uptime.clone(),
        );
        r.register_with_unit(
            "key_set_age",
            "Since the keys for tokens were read or fetched",
            Unit::Seconds,
            gauges.key_set_age.clone(),
        );
        if let Some(vault) = vault {
            r.register_collector(Box::new(VaultNumbers(vault)));
        }
        *metrics.registry.lock() = registry;
        metrics
    }

    /// A run's turn has come.
    pub(super) fn begun(&self, task: &TaskName) -> Running<'_> {
        Running {
            metrics: self,
            task: task.to_string(),
            begun: Instant::now(),
        }
    }

    /// A run of this task was lost with an earlier service.
    pub(super) fn lost(&self, task: &str) {
        let labels = RunLabels {
            task: task.to_owned(),
            outcome: "lost",
            exit: String::new(),
        };
        self.runs.get_or_create(&labels).inc();
    }

    /// A caller was over this limit.
    pub(super) fn limited(&self, limit: &str) {
        self.limit(format!("server.limits.{limit}"));
    }

    /// A connection was turned away because there are so many of this kind, a bound
    /// that nobody sets.
    pub(super) fn turned_away(&self, kind: &str) {
        self.limit(format!("server.door.{kind}"));
    }

    /// Results were forgotten before their time, since there were too many.
    pub(super) fn crowded(&self) {
        self.limit("server.results".to_owned());
    }

    fn limit(&self, limit: String) {
        self.limits.get_or_create(&LimitLabels { limit }).inc();
    }

    /// A request was answered.
    pub(super) fn answered(&self, route: &str, status: u16) {
        let labels = RequestLabels {
            route: route.to_owned(),
            status: status.into(),
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// A token was not taken.
    pub(super) fn token_refused(&self, reason: BadToken) {
        let labels = ReasonLabels {
            reason: reason.into(),
        };
        self.tokens.get_or_create(&labels).inc();
    }

    /// The gauge of open connections.
    pub(super) fn connections(&self) -> &Gauge {
        &self.gauges.connections
    }

    /// All of it as text.
    pub(super) fn text(&self, moment: &Moment) -> String {
        let gauges = &self.gauges;
        gauges.running.set(moment.running.into());
        gauges.waiting.set(moment.waiting.into());
        gauges
            .kept
            .set(i64::try_from(moment.kept).unwrap_or(i64::MAX));
        gauges.ready.set(moment.is_ready.into());
        gauges.uptime.set(moment.uptime);
        let age = i64::try_from(moment.key_set_age).unwrap_or(i64::MAX);
        gauges.key_set_age.set(age);
        for node in &moment.nodes {
            let labels = NodeLabels {
                address: node.address.clone(),
            };
            gauges
                .vault_nodes
                .get_or_create(&labels)
                .set(node.serves.into());
        }
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry.lock());
        text
    }
}

impl Running<'_> {
    /// It is over.
    pub(super) fn ended(self, report: &RunReport) {
        let Self {
            metrics,
            task,
            begun,
        } = self;
        let labels = TaskLabels { task: task.clone() };
        let seconds = begun.elapsed().as_secs_f64();
        metrics.seconds.get_or_create(&labels).observe(seconds);
        for limit in &report.limits {
            metrics.limit(limit.clone());
        }
        let denials: u64 = report.denials.iter().map(|denial| denial.count).sum();
        if denials > 0 {
            metrics.denials.get_or_create(&labels).inc_by(denials);
        }
        if report.revocation.as_ref().is_some_and(|end| !end.complete) {
            metrics.unrevoked.inc();
        }
        let labels = RunLabels {
            task,
            outcome: report.outcome.word(),
            exit: report.exit.to_string(),
        };
        metrics.runs.get_or_create(&labels).inc();
    }
}

//! Vault's numbers, read when somebody asks.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::vault::{Stats, Vault};

/// What the host knows of Vault.
pub(super) struct VaultNumbers(pub(super) Vault);

impl fmt::Debug for VaultNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultNumbers")
    }
}

impl Collector for VaultNumbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.stats();
        requests(&mut encoder, &stats)?;
        for (name, help, value) in [
            (
                "vault_live_tokens",
                "Tokens of attempts that live",
                stats.live_tokens,
            ),
            (
                "vault_live_leases",
                "Leases of attempts that live",
                stats.live_leases,
            ),
            (
                "vault_pending_revocations",
                "What may live and belongs to no run; a sweep ends it",
                stats.pending_revocations,
            ),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            gauge.encode(metric)?;
        }
        let mut metric = encoder.encode_descriptor(
            "vault_log_ins",
            "Log-ins of the service",
            None,
            MetricType::Counter,
        )?;
        let log_ins = stats.log_ins;
        for (outcome, count) in [
            ("made", log_ins.made),
            ("failed", log_ins.failed),
            ("renewed", log_ins.renewed),
            ("not_renewed", log_ins.not_renewed),
        ] {
            let labels = [("outcome", outcome)];
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn requests(encoder: &mut DescriptorEncoder<'_>, stats: &Stats) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(
        "vault_requests",
        "Requests to Vault, by operation and outcome",
        None,
        MetricType::Counter,
    )?;
    for one in &stats.requests {
        let labels = [
            ("operation", one.operation.word().to_owned()),
            ("outcome", one.outcome.to_string()),
        ];
        ConstCounter::new(one.count).encode(metric.encode_family(&labels)?)?;
    }
    let mut metric = encoder.encode_descriptor(
        "vault_requests_seconds",
        "How long these requests took together",
        None,
        MetricType::Counter,
    )?;
    for one in &stats.requests {
        let labels = [
            ("operation", one.operation.word().to_owned()),
            ("outcome", one.outcome.to_string()),
        ];
        ConstCounter::new(one.time.as_secs_f64()).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

//! How the nodes do, and whether their clocks and certificates are right.

use std::time::Instant;

use jiff::Timestamp;

use super::examine::Clock;
use super::report::told;
use super::{Check, CheckId};
use crate::diagnostic::Diagnostic;
use crate::vault::inspect::NodeFacts;
use crate::vault::{CertificateFault, Health, NodeHealth, ServerCertificate, VaultConfig};

/// A skew of more seconds than this should be known: certificates and JWTs are
/// good for minutes.
const SKEW_TO_KNOW: i64 = 30;

/// More than this breaks log-ins, and no two audits can be laid side by side.
const SKEW_TOO_FAR: i64 = 5 * 60;

/// A certificate with fewer days than this is about to end.
const FEW_DAYS: u64 = 14;

/// Whether some node can be asked anything at all.
pub(super) fn can_be_asked(vault: &VaultConfig, nodes: &[NodeFacts]) -> bool {
    nodes.iter().any(|node| {
        node.health.health.serves()
            // Something before Vault may keep its health to itself.
            || !vault.require_healthy && matches!(node.health.health, Health::Unknown(_))
    })
}

/// Judges every node.
pub(super) fn check(vault: &VaultConfig, nodes: &[NodeFacts], clock: &Clock) -> Vec<Check> {
    let mut checks = Vec::new();
    for node in nodes {
        checks.push(health(vault, &node.health));
        checks.extend(version(&node.health, nodes));
        checks.push(skew(&node.health, clock));
        checks.push(certificate(vault, node));
    }
    checks
}

fn health(vault: &VaultConfig, node: &NodeHealth) -> Check {
    let id = CheckId::NodeHealth;
    let what = node.health.to_string();
    let place = node.address.as_str();
    let cure = match node.health {
        Health::Active | Health::Standby => return Check::ok(id, place, what),
        Health::PerformanceStandby => {
            let cure = "name a node that makes tokens itself, or the load balancer before them";
            return Check::warning(id, place, what, cure);
        }
        Health::Unknown(_) if !vault.require_healthy => {
            let cure = "let the host reach `sys/health`; without it a node that cannot serve is found out by its failures";
            return Check::warning(id, place, what, cure);
        }
        Health::DisasterRecovery => "leave it out of `addresses` until it is promoted",
        Health::NotInitialised => "initialise and unseal it",
        Health::Sealed => "unseal it",
        Health::OtherCluster => {
            "name nodes of one cluster only: the tokens of one are unknown to another"
        }
        Health::Unknown(_) | Health::Unreadable => {
            "check that the address is a Vault or OpenBao server and not something before it"
        }
        Health::Unreachable(_) => "check the address, and that the server runs",
    };
    Check::fault(id, place, what, cure)
}

fn version(node: &NodeHealth, nodes: &[NodeFacts]) -> Option<Check> {
    let id = CheckId::NodeVersion;
    let version = node.version.as_ref()?;
    let shown = crate::config::value::bounded(version);
    let versions = nodes.iter().filter_map(|node| node.health.version.as_ref());
    Some(if versions.clone().all(|other| other == version) {
        Check::ok(id, node.address.as_str(), shown)
    } else {
        let what = format!("{shown}, and other nodes have another version");
        let cure = "finish the upgrade";
        Check::warning(id, node.address.as_str(), what, cure)
    })
}

fn skew(node: &NodeHealth, clock: &Clock) -> Check {
    let id = CheckId::NodeClock;
    let place = node.address.as_str();
    let (Some(theirs), Some(answered)) = (node.clock, node.answered) else {
        return Check::unproven(
            id,
            place,
            "the node does not tell its time",
            "see `node.health` of this node",
        );
    };
    // A server may say any number.
    judge_skew(place, theirs.saturating_sub(ours_at(answered, clock)))
}

/// Our clock when the answer came.
fn ours_at(answered: Instant, clock: &Clock) -> i64 {
    let now: Timestamp = clock();
    let since = i64::try_from(answered.elapsed().as_secs()).unwrap_or_default();
    now.as_second() - since
}

fn judge_skew(place: &str, skew: i64) -> Check {
    let id = CheckId::NodeClock;
    let amount = skew.unsigned_abs();
    let side = if skew < 0 { "behind" } else { "ahead of" };
    let what = match amount {
        0 => "its clock agrees with this host's".to_owned(),
        _ => format!("its clock is {amount} s {side} this host's"),
    };
    let cure = "let both take their time from the same servers (chrony, systemd-timesyncd)";
    if amount > SKEW_TOO_FAR.unsigned_abs() {
        let what = format!("{what}: log-ins by JWT and certificate fail, and audits do not match");
        Check::fault(id, place, what, cure)
    } else if amount > SKEW_TO_KNOW.unsigned_abs() {
        Check::warning(id, place, what, cure)
    } else {
        Check::ok(id, place, what)
    }
}

fn certificate(vault: &VaultConfig, node: &NodeFacts) -> Check {
    let id = CheckId::NodeTls;
    let place = node.health.address.as_str();
    let seen = match &node.certificate {
        Ok(seen) => seen,
        Err(error) => {
            let cure = error
                .hint()
                .unwrap_or_else(|| "correct `ca_file` in `[vault]`".to_owned());
            return Check::fault(id, place, told(error), cure);
        }
    };
    match seen {
        ServerCertificate::None => plain(vault, place),
        ServerCertificate::Trusted { days } => trusted(place, *days),
        ServerCertificate::Distrusted(fault) => {
            let (what, cure) = distrusted(vault, *fault);
            Check::fault(id, place, what, cure)
        }
        ServerCertificate::Unseen => Check::unproven(
            id,
            place,
            "there was no certificate to look at: no connection, or no TLS",
            "see `node.health` of this node; plain http is written `http://`",
        ),
    }
}

fn plain(vault: &VaultConfig, place: &str) -> Check {
    let id = CheckId::NodeTls;
    let loopback = vault
        .addresses
        .iter()
        .any(|address| address.to_string() == place && address.loopback());
    if loopback {
        Check::ok(id, place, "plain http, which does not leave this machine")
    } else {
        let what = "plain http to another machine: whoever is on the way reads every token";
        Check::warning(id, place, what, "use `https://`")
    }
}

fn trusted(place: &str, days: u64) -> Check {
    let id = CheckId::NodeTls;
    if days < FEW_DAYS {
        let what = format!("its certificate, or one that vouches for it, ends in {days} days");
        return Check::warning(id, place, what, "renew it");
    }
    let what = match days {
        3650.. => "trusted for more than 3650 days".to_owned(),
        days => format!("trusted for {days} days"),
    };
    Check::ok(id, place, what)
}

fn distrusted(vault: &VaultConfig, fault: CertificateFault) -> (String, &'static str) {
    let trusted = vault.ca_file.as_ref().map_or_else(
        || "the system's store".to_owned(),
        |file| format!("`ca_file` {}", file.display()),
    );
    match fault {
        CertificateFault::Issuer => (
            format!("the wrong CA: nobody in {trusted} vouches for its certificate"),
            "put the certificate of the authority that issued the server's into `ca_file`; if nothing was changed, somebody may stand between",
        ),
        CertificateFault::Name => (
            "its certificate does not carry the expected name".to_owned(),
            "set `tls_server_name` to a name that it carries, or have one issued for the address",
        ),
        CertificateFault::Expired => (
            "its certificate, or one that vouches for it, has expired".to_owned(),
            "renew it; or this host's clock is wrong, see `node.clock`",
        ),
        CertificateFault::NotYetValid => (
            "its certificate is not valid yet".to_owned(),
            "look at the clocks of this host and of whoever issued it",
        ),
        CertificateFault::Revoked => ("its certificate was revoked".to_owned(), "replace it"),
        CertificateFault::Other => (
            "its certificate is malformed, or made for another purpose".to_owned(),
            "have one issued for a server (extended key usage `serverAuth`)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_skew_is_judged_by_its_size() {
        for (skew, state) in [
            (0, State::Ok),
            (30, State::Ok),
            (-30, State::Ok),
            (31, State::Warning),
            (-300, State::Warning),
            (301, State::Fault),
            (-7200, State::Fault),
        ] {
            let check = judge_skew("here", skew);
            assert_eq!(check.state, state, "{skew}");
            let side = match skew.signum() {
                0 => "agrees",
                1 => "ahead",
                _ => "behind",
            };
            assert!(check.what.contains(side), "{check:?}");
        }
    }

    #[test]
    fn days_are_counted() {
        for (days, state) in [(0, State::Warning), (13, State::Warning), (14, State::Ok)] {
            assert_eq!(trusted("here", days).state, state, "{days}");
        }
    }
}

//! What the host must be able to do, tried: each right on nothing, and a token
//! for each task, ended at once.

use super::budget::Budget;
use super::texts::{WRITE_HOST, write_task};
use super::{Check, CheckId, Report};
use crate::config::value::show_duration;
use crate::grants::Grants;
use crate::vault::VaultErrorKind;
use crate::vault::inspect::{Inspection, Probe};
use crate::vault::policy::task_policy_name;

/// Tries the rights that a probe does not need.
pub(super) async fn rights(inspection: &Inspection, report: &mut Report) {
    let id = CheckId::HostRights;
    let rights = match inspection.rights().await {
        Ok(rights) => rights,
        Err(error) => return report.failed(id, "vault", &error),
    };
    let mut all = true;
    for right in &rights {
        match &right.allowed {
            Ok(true) => {}
            Ok(false) => {
                all = false;
                let what = "vault refuses what the host has to call";
                report.push(Check::fault(id, right.path, what, WRITE_HOST));
            }
            Err(error) => {
                all = false;
                report.failed(id, right.path, error);
            }
        }
    }
    if all {
        let what = format!("the host may call all {} paths that it needs", rights.len());
        report.push(Check::ok(id, "vault", what));
    }
}

/// Mints and ends a token for each task that needs Vault.
pub(super) async fn tasks(
    inspection: &Inspection,
    granted: &[Grants],
    budget: &Budget,
    report: &mut Report,
) {
    let id = CheckId::MintTask;
    for grants in granted.iter().filter(|grants| grants.needs_vault()) {
        let task = &grants.task;
        if let Some(over) = budget.over() {
            let cure = "give it more time with `--timeout`";
            report.push(Check::unproven(id, task.as_str(), over, cure));
            continue;
        }
        if grants.authority.is_some() {
            let what = "the task logs in as itself, and nobody here is one of its attempts";
            let cure = "run it once: the report says what Vault thinks of its log-in";
            // What its role gives is `role.task`'s to show.
            report.push(Check::unasked(id, task.as_str(), what, cure));
            continue;
        }
        match inspection.probe(task, grants.limits.timeout).await {
            Ok(probe) => report.push(judge(grants, &probe)),
            Err(error) => {
                let away = error.kind() == VaultErrorKind::Unavailable;
                report.failed(id, task.as_str(), &error);
                // Every further one would wait for its time limit too.
                if away {
                    return;
                }
            }
        }
    }
}

fn judge(grants: &Grants, probe: &Probe) -> Check {
    let id = CheckId::MintTask;
    let place = grants.task.as_str();
    let policy = task_policy_name(&grants.task);
    if !probe.revocation.complete {
        let reason = probe.revocation.reason.unwrap_or("unknown");
        let what = format!("a token was minted, but it could not be revoked ({reason})");
        return Check::fault(id, place, what, "run `cofferdam sweep` once Vault is back");
    }
    if !probe.policy_exists {
        let what = format!("vault knows no policy `{policy}`: everything would be refused");
        return Check::fault(id, place, what, write_task(&grants.task));
    }
    let life = show_duration(probe.life);
    let what = format!("a token with `{policy}` alone was minted for {life}, and revoked");
    Check::ok(id, place, what)
}

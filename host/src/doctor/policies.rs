//! What the policies in Vault allow, against what the host and the grants need.

use std::collections::BTreeSet;

use super::budget::Budget;
use super::texts::{WRITE_HOST, names, write_task};
use super::{Check, CheckId, Report, task_role};
use crate::grants::Grants;
use crate::vault::VaultError;
use crate::vault::config::IdentityConfig;
use crate::vault::inspect::Reviewer;
use crate::vault::path::VaultName;
use crate::vault::policy::{HOST_POLICY, PolicyError, PolicyRules, host_policy, task_policy_name};

/// All that these policies of the log-in allow together.
pub(super) async fn host(
    reviewer: &Reviewer<'_>,
    carried: &BTreeSet<String>,
    token_role: &VaultName,
    report: &mut Report,
) {
    let id = CheckId::PolicyHost;
    let place = policies_of(carried);
    let mut all = PolicyRules::default();
    let before = report.checks().len();
    for name in carried {
        let shown = crate::config::value::bounded(name);
        if name == "root" {
            let what = "the log-in carries `root`: it may do everything";
            report.push(Check::fault(id, shown, what, WRITE_HOST));
            continue;
        }
        let text = match read(reviewer, name).await {
            Ok(text) => text,
            Err(error) => {
                failed(report, id, &shown, &error);
                continue;
            }
        };
        let Some(text) = text else {
            // A name without a policy allows nothing.
            if name == HOST_POLICY {
                let what = "vault knows no such policy";
                report.push(Check::fault(id, shown, what, WRITE_HOST));
            }
            continue;
        };
        match PolicyRules::parse_hcl(&text) {
            Ok(rules) => all.merge(&rules),
            Err(error) => report.push(unreadable(id, &shown, &error, WRITE_HOST)),
        }
    }
    // What could not be read is told; what is missing then is not known.
    if report.checks().len() > before {
        return;
    }
    let need = host_policy(token_role);
    report.extend(compare(id, &place, &all, &need, WRITE_HOST));
}

/// Each task's policy against its grants.
pub(super) async fn tasks(
    reviewer: &Reviewer<'_>,
    granted: &[Grants],
    identity: Option<&IdentityConfig>,
    budget: &Budget,
    report: &mut Report,
) {
    let id = CheckId::PolicyTask;
    for grants in granted {
        let policy = task_policy_name(&grants.task);
        if let Some(over) = budget.over() {
            let cure = "give it more time with `--timeout`";
            report.push(Check::unproven(id, policy, over, cure));
            continue;
        }
        if let Some(jwt) = &grants.authority {
            task_role::check(reviewer, grants, jwt, identity, report).await;
            // Policies of people's own making are theirs to review.
            let others: Vec<_> = (jwt.policies.iter())
                .filter(|one| one.as_str() != policy)
                .map(|one| format!("`{one}`"))
                .collect();
            if !others.is_empty() {
                let what = format!(
                    "attempts carry {}, which no grants file is for",
                    others.join(", ")
                );
                let cure = "review these policies by hand";
                report.push(Check::unproven(id, grants.task.as_str(), what, cure));
            }
            if !jwt.carries_task_policy(&grants.task) {
                continue;
            }
        }
        match read(reviewer, &policy).await {
            Ok(text) => report.extend(task(grants, &policy, text.as_deref())),
            Err(error) => failed(report, id, &policy, &error),
        }
    }
}

fn task(grants: &Grants, policy: &str, text: Option<&str>) -> Vec<Check> {
    let id = CheckId::PolicyTask;
    let cure = write_task(&grants.task);
    let need = grants.policy();
    let Some(text) = text else {
        return vec![if need.is_empty() {
            Check::ok(
                id,
                policy,
                "there is none, and the task needs nothing in vault",
            )
        } else {
            Check::fault(id, policy, "vault knows no such policy", cure)
        }];
    };
    match PolicyRules::parse_hcl(text) {
        Ok(rules) => compare(id, policy, &rules, &need, &cure),
        Err(error) => vec![unreadable(id, policy, &error, &cure)],
    }
}

/// Policies that the token role would hand out, and that no grants file is for.
pub(super) async fn orphans(
    reviewer: &Reviewer<'_>,
    known: &BTreeSet<String>,
    report: &mut Report,
) {
    let id = CheckId::PolicyOrphans;
    let names_found = match reviewer.policy_names().await {
        Ok(names) => names,
        Err(error) => return failed(report, id, "sys/policies/acl", &error),
    };
    let orphans: Vec<_> = names_found
        .iter()
        .filter(|name| name.starts_with("cofferdam-task-") && !known.contains(*name))
        .collect();
    report.push(if orphans.is_empty() {
        let what = "every task policy in vault has a grants file";
        Check::ok(id, "sys/policies/acl", what)
    } else {
        let what = format!(
            "no grants file is there for {}, and whoever has the host's log-in can mint a token with it",
            names(orphans)
        );
        let cure = "unless another host of this Vault needs it, remove it: `bao policy delete NAME`";
        Check::warning(id, "sys/policies/acl", what, cure)
    });
}

async fn read(reviewer: &Reviewer<'_>, name: &str) -> Result<Option<String>, VaultError> {
    match name.parse() {
        Ok(name) => reviewer.policy(&name).await,
        // A name that we cannot ask for is not one of ours.
        Err(_) => Err(VaultError::Protocol {
            operation: crate::vault::Operation::Review,
            fault: "a policy's name has characters that are not sent",
        }),
    }
}

/// A reviewer's token that may not read it proves nothing, and is no fault of
/// what was to be proven.
pub(super) fn failed(report: &mut Report, id: CheckId, place: &str, error: &VaultError) {
    use crate::diagnostic::Diagnostic;
    match error {
        VaultError::Refused { .. } => {
            let cure = error.hint().unwrap_or_default();
            report.push(Check::unproven(id, place, error.to_string(), cure));
        }
        error => report.failed(id, place, error),
    }
}

fn unreadable(id: CheckId, place: &str, error: &PolicyError, cure: &str) -> Check {
    let what = format!("wider than it should be, or unreadable: {error}");
    Check::fault(id, place, what, cure)
}

fn compare(
    id: CheckId,
    place: &str,
    found: &PolicyRules,
    need: &PolicyRules,
    cure: &str,
) -> Vec<Check> {
    let (wider, missing) = (found.beyond(need), need.beyond(found));
    let mut checks = Vec::new();
    if !wider.is_empty() {
        let what = format!("wider than it should be: it also allows {wider}");
        checks.push(Check::fault(id, place, what, cure));
    }
    if !missing.is_empty() {
        let what = format!("it lacks {missing}");
        checks.push(Check::fault(id, place, what, cure));
    }
    if checks.is_empty() {
        let what = match need.0.len() {
            0 => "it allows nothing, and nothing is needed".to_owned(),
            1 => "it allows the one path that is needed, and no more".to_owned(),
            many => format!("it allows the {many} paths that are needed, and no more"),
        };
        checks.push(Check::ok(id, place, what));
    }
    checks
}

fn policies_of(carried: &BTreeSet<String>) -> String {
    let names: Vec<_> = carried
        .iter()
        .map(|name| crate::config::value::bounded(name))
        .collect();
    names.join(" + ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::State;
    use super::*;
    use crate::digest::Digest;

    fn grants(tables: &str) -> Grants {
        let digest = Digest::of(b"");
        let text = format!(
            "task = \"t\"\ncomponent = \"t.wasm\"\ndigest = \"{digest}\"\n\
             [caller]\ndags = [\"d\"]\n{tables}"
        );
        Grants::parse(&text, Path::new("t.toml"), digest).unwrap()
    }

    const KEYS: &str =
        "[keys.s]\ntransit = { mount = \"transit\", key = \"k\" }\nallow = [\"sign\"]\n";

    fn judged(tables: &str, text: Option<&str>) -> Vec<(State, String)> {
        task(&grants(tables), "cofferdam-task-t", text)
            .into_iter()
            .map(|check| (check.state, check.what))
            .collect()
    }

    #[test]
    fn a_policy_is_held_to_the_grants_from_both_sides() {
        let exact = grants(KEYS).policy().to_hcl().unwrap();
        let more = "path \"secret/data/x\" { capabilities = [\"read\"] }\n";
        let cases = [
            (Some(exact.clone()), State::Ok, "one path"),
            (None, State::Fault, "no such policy"),
            (
                Some(format!("{exact}{more}")),
                State::Fault,
                "`read` on `secret/data/x`",
            ),
            (
                Some(String::new()),
                State::Fault,
                "lacks `update` on `transit/sign/k`",
            ),
            (
                Some("path \"transit/*\" { capabilities = [\"update\"] }".to_owned()),
                State::Fault,
                "unreadable",
            ),
            (
                Some(exact.replace("\"update\"", "\"update\", \"sudo\"")),
                State::Fault,
                "the rule for `transit/sign/k` allows `sudo`",
            ),
        ];
        for (text, state, words) in cases {
            let found = judged(KEYS, text.as_deref());
            assert!(
                matches!(found.as_slice(), [(found, what)] if *found == state && what.contains(words)),
                "{text:?}: {found:?}"
            );
        }
        // Both at once.
        let found = judged(KEYS, Some(more));
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn a_task_without_needs_needs_no_policy() {
        assert_eq!(judged("", None)[0].0, State::Ok);
        assert_eq!(judged("", Some("# nothing\n"))[0].0, State::Ok);
        let wide = "path \"a\" { capabilities = [\"read\"] }";
        assert_eq!(judged("", Some(wide))[0].0, State::Fault);
    }
}

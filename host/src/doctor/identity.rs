//! The identity of the log-in: what it carries, every attempt inherits.

use super::policies::failed;
use super::texts::{NO_IDENTITY_POLICIES, names};
use super::{Check, CheckId, Report};
use crate::vault::VaultError;
use crate::vault::inspect::{EntityFacts, LoginFacts, Reviewer};

/// Looks at the entity of the log-in, and at each group that it belongs to.
pub(super) async fn check(reviewer: &Reviewer<'_>, login: &LoginFacts, report: &mut Report) {
    if login.entity_id.is_empty() {
        for id in [CheckId::IdentityEntity, CheckId::IdentityGroups] {
            report.push(Check::ok(id, "the log-in", "it has no identity"));
        }
        return;
    }
    let id = CheckId::IdentityEntity;
    let entity = match reviewer.entity(&login.entity_id).await {
        Ok(Some(entity)) => entity,
        Ok(None) => return unknown(report, "the identity is not to be found"),
        Err(error) => {
            failed(report, id, "the log-in's identity", &error);
            let cure = "see `identity.entity`";
            let what = "the groups of the log-in's identity are not known";
            report.push(Check::unproven(
                CheckId::IdentityGroups,
                "its groups",
                what,
                cure,
            ));
            return;
        }
    };
    let place = shown("entity", entity.name.as_deref());
    let policies = entity.policies.clone().unwrap_or_default();
    report.push(if policies.is_empty() {
        Check::ok(id, place, "the log-in's identity carries no policy")
    } else {
        let what = format!("the log-in's identity carries {}", names(&policies));
        Check::fault(id, place, what, NO_IDENTITY_POLICIES)
    });
    groups(reviewer, &entity, report).await;
}

async fn groups(reviewer: &Reviewer<'_>, entity: &EntityFacts, report: &mut Report) {
    let id = CheckId::IdentityGroups;
    let groups = entity.group_ids.clone().unwrap_or_default();
    let mut harmless = true;
    for group in &groups {
        let facts = match reviewer.group(group).await {
            Ok(Some(facts)) => facts,
            Ok(None) => continue,
            Err(error) => {
                harmless = false;
                failed(report, id, "a group of the log-in's identity", &error);
                // A token that may not read one may read none.
                if matches!(error, VaultError::Refused { .. }) {
                    break;
                }
                continue;
            }
        };
        let policies = facts.policies.unwrap_or_default();
        if !policies.is_empty() {
            harmless = false;
            let place = shown("group", facts.name.as_deref());
            let what = format!("the log-in inherits {} from this group", names(&policies));
            report.push(Check::fault(id, place, what, NO_IDENTITY_POLICIES));
        }
    }
    if harmless {
        let what = match groups.len() {
            0 => "the log-in's identity is in no group".to_owned(),
            some => format!("the {some} groups of the log-in's identity carry no policy"),
        };
        report.push(Check::ok(id, "its groups", what));
    }
}

fn unknown(report: &mut Report, what: &str) {
    for id in [CheckId::IdentityEntity, CheckId::IdentityGroups] {
        let cure = "run it again; it may have been merged into another identity";
        report.push(Check::unproven(id, "the log-in's identity", what, cure));
    }
}

fn shown(kind: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{kind} {}", crate::config::value::bounded(name)),
        None => kind.to_owned(),
    }
}

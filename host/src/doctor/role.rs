//! The token role: whom else the host's log-in could mint.

use std::time::Duration;

use super::texts::{WRITE_HOST, names};
use super::{Check, CheckId};
use crate::config::value::show_duration;
use crate::name::TaskName;
use crate::vault::inspect::TokenRoleFacts;
use crate::vault::policy::TokenRole;

/// The checks, for when the role cannot be read.
pub(super) const IDS: [CheckId; 8] = [
    CheckId::RolePolicies,
    CheckId::RoleOrphan,
    CheckId::RoleRenewable,
    CheckId::RoleTokenType,
    CheckId::RoleNoDefaultPolicy,
    CheckId::RoleExplicitMaxTtl,
    CheckId::RolePeriod,
    CheckId::RoleEntityAliases,
];

/// Judges each setting by itself. `tasks` are those that need Vault, with
/// their `timeout`.
pub(super) fn check(
    role: &TokenRoleFacts,
    place: &str,
    tasks: &[(&TaskName, Duration)],
) -> Vec<Check> {
    let want = TokenRole::standard();
    let demand = |id, is_so: bool, good: &str, bad: &str| {
        if is_so {
            Check::ok(id, place, good)
        } else {
            Check::fault(id, place, bad, WRITE_HOST)
        }
    };
    let mut checks = policies(role, place, &want);
    checks.extend([
        demand(
            CheckId::RoleOrphan,
            role.orphan == Some(want.orphan),
            "attempts' tokens die with the host's log-in",
            "attempts' tokens are orphans, which outlive the host's log-in",
        ),
        demand(
            CheckId::RoleRenewable,
            role.renewable == Some(want.renewable),
            "attempts' tokens cannot be renewed",
            "attempts' tokens can be renewed, and so outlive the attempt",
        ),
        demand(
            CheckId::RoleTokenType,
            role.token_type.as_deref() == Some(want.token_type.as_str()),
            "attempts get service tokens",
            "attempts may get tokens of another type than `service`, which cannot be revoked",
        ),
        demand(
            CheckId::RoleNoDefaultPolicy,
            role.token_no_default_policy == Some(want.token_no_default_policy),
            "attempts never carry `default`",
            "attempts can be minted with `default`, whose rights nobody granted (`token_no_default_policy` is not set)",
        ),
        explicit_max_ttl(role, place, tasks, &want),
        demand(
            CheckId::RolePeriod,
            [role.token_period, role.period].iter().flatten().all(|period| *period == 0),
            "attempts' tokens have no period",
            "attempts' tokens are periodic: they can be kept alive for ever",
        ),
        demand(
            CheckId::RoleEntityAliases,
            role.allowed_entity_aliases.as_deref().unwrap_or_default().is_empty(),
            "attempts cannot take another identity",
            "attempts can be minted with another identity and its policies (`allowed_entity_aliases`)",
        ),
    ]);
    if role.token_num_uses.is_some_and(|uses| uses != 0) {
        let what = "attempts' tokens can be used a few times only: the host refuses them";
        checks.push(Check::fault(CheckId::RoleNumUses, place, what, WRITE_HOST));
    }
    checks
}

fn policies(role: &TokenRoleFacts, place: &str, want: &TokenRole) -> Vec<Check> {
    let id = CheckId::RolePolicies;
    let list = |names: &Option<Vec<String>>| names.clone().unwrap_or_default();
    let (exact, globs) = (
        list(&role.allowed_policies),
        list(&role.allowed_policies_glob),
    );
    let mut checks = Vec::new();
    let wider: Vec<_> = exact
        .iter()
        .chain(
            globs
                .iter()
                .filter(|glob| !want.allowed_policies_glob.contains(glob)),
        )
        .collect();
    if !wider.is_empty() {
        let what = format!("attempts can also carry {}", names(wider));
        checks.push(Check::fault(id, place, what, WRITE_HOST));
    }
    // A role without any list allows whatever its parent has.
    if !want
        .allowed_policies_glob
        .iter()
        .all(|glob| globs.contains(glob))
    {
        let what = format!(
            "the role does not say {}",
            names(&want.allowed_policies_glob)
        );
        checks.push(Check::fault(id, place, what, WRITE_HOST));
    }
    let not = [
        list(&role.disallowed_policies),
        list(&role.disallowed_policies_glob),
    ]
    .concat();
    if !not.is_empty() {
        let what = format!("tasks are kept from {}", names(&not));
        let cure = "make sure that it keeps no task from its own policy";
        checks.push(Check::warning(id, place, what, cure));
    }
    if checks.is_empty() {
        let what = format!("attempts can carry {} and nothing else", names(&globs));
        checks.push(Check::ok(id, place, what));
    }
    checks
}

fn explicit_max_ttl(
    role: &TokenRoleFacts,
    place: &str,
    tasks: &[(&TaskName, Duration)],
    want: &TokenRole,
) -> Check {
    let id = CheckId::RoleExplicitMaxTtl;
    let seconds = role.token_explicit_max_ttl.unwrap_or_default();
    let life = Duration::from_secs(seconds);
    let longer: Vec<String> = tasks
        .iter()
        .filter(|(_, timeout)| *timeout > life)
        .map(|(task, _)| task.to_string())
        .collect();
    let shown = show_duration(life);
    if seconds == 0 {
        let what =
            "nothing bounds the life of attempts' tokens (`token_explicit_max_ttl` is not set)";
        Check::fault(id, place, what, WRITE_HOST)
    } else if !longer.is_empty() {
        let what = format!(
            "attempts' tokens live for {shown}, less than the `timeout` of {}",
            names(&longer)
        );
        Check::fault(id, place, what, WRITE_HOST)
    } else if seconds > want.token_explicit_max_ttl {
        let what = format!("attempts' tokens may live for {shown}, longer than any task may run");
        Check::warning(id, place, what, WRITE_HOST)
    } else {
        Check::ok(
            id,
            place,
            format!("attempts' tokens end after {shown} at most"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn good() -> TokenRoleFacts {
        let text = serde_json::to_string(&TokenRole::standard()).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn judged(change: impl FnOnce(&mut TokenRoleFacts)) -> Vec<(CheckId, State)> {
        let mut role = good();
        change(&mut role);
        let task = "long".parse().unwrap();
        check(&role, "role", &[(&task, Duration::from_secs(3600))])
            .into_iter()
            .filter(|check| {
                assert_eq!(check.cure.is_none(), check.state == State::Ok);
                check.state != State::Ok
            })
            .map(|check| (check.id, check.state))
            .collect()
    }

    #[test]
    fn what_we_write_is_what_we_want() {
        assert_eq!(judged(|_| {}), []);
        let all = check(&good(), "role", &[]);
        assert_eq!(all.iter().map(|check| check.id).collect::<Vec<_>>(), IDS);
    }

    #[test]
    fn each_setting_that_is_wider_is_found_by_itself() {
        use CheckId::{
            RoleEntityAliases, RoleExplicitMaxTtl, RoleNoDefaultPolicy, RoleNumUses, RoleOrphan,
            RolePeriod, RolePolicies, RoleRenewable, RoleTokenType,
        };
        type Change = fn(&mut TokenRoleFacts);
        let strings = |role: &mut TokenRoleFacts| role.allowed_policies_glob = None;
        let cases: [(Change, CheckId, State); 17] = [
            (
                |r| r.allowed_policies_glob = Some(vec!["*".into()]),
                RolePolicies,
                State::Fault,
            ),
            (strings, RolePolicies, State::Fault),
            (
                |r| r.allowed_policies = Some(vec!["root".into()]),
                RolePolicies,
                State::Fault,
            ),
            (
                |r| r.disallowed_policies = Some(vec!["x".into()]),
                RolePolicies,
                State::Warning,
            ),
            (|r| r.orphan = Some(true), RoleOrphan, State::Fault),
            (|r| r.orphan = None, RoleOrphan, State::Fault),
            (|r| r.renewable = Some(true), RoleRenewable, State::Fault),
            (
                |r| r.token_type = Some("default-service".into()),
                RoleTokenType,
                State::Fault,
            ),
            (
                |r| r.token_no_default_policy = Some(false),
                RoleNoDefaultPolicy,
                State::Fault,
            ),
            (
                |r| r.token_no_default_policy = None,
                RoleNoDefaultPolicy,
                State::Fault,
            ),
            (
                |r| r.token_explicit_max_ttl = None,
                RoleExplicitMaxTtl,
                State::Fault,
            ),
            (
                |r| r.token_explicit_max_ttl = Some(3599),
                RoleExplicitMaxTtl,
                State::Fault,
            ),
            (
                |r| r.token_explicit_max_ttl = Some(90_001),
                RoleExplicitMaxTtl,
                State::Warning,
            ),
            (|r| r.token_period = Some(1), RolePeriod, State::Fault),
            (|r| r.period = Some(1), RolePeriod, State::Fault),
            (
                |r| r.allowed_entity_aliases = Some(vec!["a".into()]),
                RoleEntityAliases,
                State::Fault,
            ),
            (|r| r.token_num_uses = Some(1), RoleNumUses, State::Fault),
        ];
        for (change, id, state) in cases {
            let found = judged(change);
            assert!(found.contains(&(id, state)), "{id}: {found:?}");
            assert!(
                found.iter().all(|(other, _)| *other == id),
                "{id}: {found:?}"
            );
        }
    }
}

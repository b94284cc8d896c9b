//! The host's own log-in: whether it works, how long it lives, what it carries.

use std::collections::BTreeSet;
use std::time::Duration;

use super::texts::{NO_IDENTITY_POLICIES, names};
use super::{Check, CheckId};
use crate::config::value::show_duration;
use crate::vault::Revocation;
use crate::vault::inspect::LoginFacts;
use crate::vault::policy::HOST_POLICY;

/// docs/VAULT.md asks for no more: a log-in that was killed while it was made
/// lives that long.
const LONG: Duration = Duration::from_secs(60 * 60);

/// Judges what Vault says of the log-in. `mount` is where it was made.
pub(super) fn check(login: &LoginFacts, mount: &str, is_lent: bool) -> Vec<Check> {
    vec![
        Check::ok(CheckId::LoginWorks, mount, "the log-in works"),
        life(login, mount, is_lent),
    ]
}

fn life(login: &LoginFacts, mount: &str, is_lent: bool) -> Check {
    let id = CheckId::LoginLife;
    let life = Duration::from_secs(login.creation_ttl);
    let cure = "set the `token_ttl` of the log-in's role to an hour or less: the host renews it";
    if login.creation_ttl == 0 {
        let what = "the log-in never ends";
        Check::warning(id, mount, what, cure)
    } else if life > LONG && !is_lent {
        let what = format!(
            "the log-in lives for {}: so long does one live whose host was killed while it logged in",
            show_duration(life)
        );
        Check::warning(id, mount, what, cure)
    } else {
        let what = format!("the log-in lives for {}", show_duration(life));
        Check::ok(id, mount, what)
    }
}

/// What the log-in carries by name. Extra names are a fault that anybody sees;
/// that there are none proves nothing of what the others allow, so it is ok
/// only when a reviewer's token judges them too.
pub(super) fn policies(login: &LoginFacts, mount: &str) -> Result<(), Vec<Check>> {
    let id = CheckId::LoginPolicies;
    let mut faults = Vec::new();
    let own: BTreeSet<_> = login
        .policies
        .iter()
        .filter(|name| *name != HOST_POLICY)
        .collect();
    if !own.is_empty() {
        let what = format!("the log-in also carries {}", names(own));
        let cure = "set `token_policies=cofferdam-host` and `token_no_default_policy=true` on the log-in's role";
        faults.push(Check::fault(id, mount, what, cure));
    }
    if !login.policies.iter().any(|name| name == HOST_POLICY) {
        let what = format!("the log-in does not carry `{HOST_POLICY}`");
        let cure = "set `token_policies=cofferdam-host` on the log-in's role";
        faults.push(Check::fault(id, mount, what, cure));
    }
    if !login.identity_policies.is_empty() {
        let what = format!(
            "the log-in's identity, or a group of it, carries {}",
            names(&login.identity_policies)
        );
        faults.push(Check::fault(id, mount, what, NO_IDENTITY_POLICIES));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

/// The end of the log-in that this examination made.
pub(super) fn revoked(revocation: Option<&Revocation>, mount: &str) -> Option<Check> {
    let id = CheckId::LoginRevoked;
    Some(match revocation? {
        Revocation { complete: true, .. } => {
            Check::ok(id, mount, "the log-in of this examination was revoked")
        }
        Revocation { reason, .. } => {
            let reason = reason.unwrap_or("unknown");
            let what = format!("the log-in of this examination could not be revoked ({reason})");
            Check::fault(id, mount, what, "run `cofferdam sweep` once Vault is back")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn login(policies: &[&str], identity: &[&str]) -> LoginFacts {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        LoginFacts {
            policies: owned(policies),
            identity_policies: owned(identity),
            creation_ttl: 3600,
            ..LoginFacts::default()
        }
    }

    fn faults(login: &LoginFacts) -> String {
        match policies(login, "auth/approle") {
            Ok(()) => String::new(),
            Err(faults) => {
                assert!(faults.iter().all(|check| check.state == State::Fault));
                faults.iter().map(|check| check.what.as_str()).collect()
            }
        }
    }

    #[test]
    fn the_log_in_carries_the_hosts_policy_alone() {
        assert_eq!(faults(&login(&["cofferdam-host"], &[])), "");
        let found = faults(&login(&["cofferdam-host", "default"], &[]));
        assert!(found.contains("`default`"), "{found}");
        let found = faults(&login(&["x"], &["team"]));
        assert!(
            found.contains("`x`") && found.contains("not carry"),
            "{found}"
        );
        assert!(found.contains("`team`"), "{found}");
    }

    #[test]
    fn a_long_life_is_told() {
        for (seconds, lent, state) in [
            (3600, false, State::Ok),
            (3601, false, State::Warning),
            (3601, true, State::Ok),
            (0, true, State::Warning),
        ] {
            let facts = LoginFacts {
                creation_ttl: seconds,
                ..login(&["cofferdam-host"], &[])
            };
            assert_eq!(life(&facts, "m", lent).state, state, "{seconds} {lent}");
        }
    }
}

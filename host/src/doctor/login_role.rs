//! The settings of the host's log-in in Vault.

use std::fmt::Display;
use std::time::Duration;

use super::policies::failed;
use super::{Check, CheckId, Report};
use crate::config::value::show_duration;
use crate::vault::config::AuthConfig;
use crate::vault::inspect::{LoginFacts, LoginRole, LoginRoleFacts, Reviewer};
use crate::vault::policy::HOST_POLICY;

const ID: CheckId = CheckId::LoginRole;

/// A day, in seconds: what docs/VAULT.md asks for.
const MAX_TTL: u64 = 24 * 60 * 60;

/// Reads the settings and judges them.
pub(super) async fn check(
    reviewer: &Reviewer<'_>,
    auth: &AuthConfig,
    login: &LoginFacts,
    report: &mut Report,
) {
    let path = match LoginRole::of(auth, login) {
        LoginRole::At(path) => path,
        LoginRole::None => {
            let what = "the token was lent: whoever made it says what it is made with";
            let cure = "use a log-in of the host's own for production";
            return report.push(Check::warning(ID, "[vault.auth]", what, cure));
        }
        LoginRole::Scattered => {
            let what = "the settings of this method are its configuration's, its users' and its groups'; this version does not read them";
            let cure = "compare them with the table in docs/VAULT.md by hand";
            return report.push(Check::unasked(ID, "[vault.auth]", what, cure));
        }
        LoginRole::Unnamed => {
            let what = "the log-in does not say by which role it was made";
            let cure = "compare the role with the table in docs/VAULT.md by hand";
            return report.push(Check::unproven(ID, "[vault.auth]", what, cure));
        }
    };
    match reviewer.login_role(&path).await {
        Ok(Some(role)) => report.extend(judge(&role, path.as_str())),
        Ok(None) => {
            let what = "the settings of the log-in are not to be found";
            let cure = "check `mount` and `role` in `[vault.auth]`";
            report.push(Check::unproven(ID, path.as_str(), what, cure));
        }
        Err(error) => failed(report, ID, path.as_str(), &error),
    }
}

fn judge(role: &LoginRoleFacts, place: &str) -> Vec<Check> {
    let mut wrong: Vec<(String, &str)> = Vec::new();
    let policies = role.token_policies.clone().unwrap_or_default();
    if policies != [HOST_POLICY] {
        let what = setting("token_policies", &super::texts::names(&policies));
        wrong.push((
            what,
            "set `token_policies=cofferdam-host`, and nothing else",
        ));
    }
    if role.token_no_default_policy != Some(true) {
        let what = setting("token_no_default_policy", &"not set");
        wrong.push((what, "set `token_no_default_policy=true`"));
    }
    if role.token_type.as_deref() != Some("service") {
        let kind = crate::config::value::bounded(role.token_type.as_deref().unwrap_or("not set"));
        wrong.push((setting("token_type", &kind), "set `token_type=service`"));
    }
    if let Some(uses) = role.token_num_uses.filter(|uses| *uses != 0) {
        wrong.push((setting("token_num_uses", &uses), "set `token_num_uses=0`"));
    }
    if let Some(period) = role.token_period.filter(|period| *period != 0) {
        let cure = "set `token_period=0`: a stolen log-in could be kept alive for ever";
        wrong.push((setting("token_period", &period), cure));
    }
    if role.bind_secret_id == Some(false) {
        let cure = "set `bind_secret_id=true`: without it the role-id alone logs in";
        wrong.push((setting("bind_secret_id", &false), cure));
    }
    let mut checks: Vec<_> = wrong
        .into_iter()
        .map(|(what, cure)| Check::fault(ID, place, what, cure))
        .collect();
    checks.extend(max_ttl(role, place));
    if checks.is_empty() {
        let what = "the log-in gives the host's policy and nothing else";
        checks.push(Check::ok(ID, place, what));
    }
    checks
}

/// A stolen log-in is renewed by the thief up to here. Nothing is wrong with
/// the host when it is long, so it is a warning.
fn max_ttl(role: &LoginRoleFacts, place: &str) -> Option<Check> {
    let seconds = role.token_max_ttl.unwrap_or_default();
    let value = match seconds {
        0 => "not set: the mount's own counts, and Vault's is 32 days".to_owned(),
        seconds if seconds > MAX_TTL => show_duration(Duration::from_secs(seconds)),
        _ => return None,
    };
    let cure = "set `token_max_ttl=24h`: the host makes a new log-in then";
    Some(Check::warning(
        ID,
        place,
        setting("token_max_ttl", &value),
        cure,
    ))
}

fn setting(name: &str, value: &dyn Display) -> String {
    format!("`{name}` is {value}")
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn good() -> LoginRoleFacts {
        LoginRoleFacts {
            token_policies: Some(vec!["cofferdam-host".to_owned()]),
            token_no_default_policy: Some(true),
            token_type: Some("service".to_owned()),
            token_num_uses: Some(0),
            token_max_ttl: Some(MAX_TTL),
            bind_secret_id: Some(true),
            ..LoginRoleFacts::default()
        }
    }

    #[test]
    fn a_log_in_that_can_be_renewed_for_days_is_a_warning() {
        for (seconds, words) in [
            (None, "not set"),
            (Some(0), "not set"),
            (Some(MAX_TTL + 1), "`token_max_ttl` is 1day 1s"),
            (Some(u64::MAX), "`token_max_ttl` is"),
        ] {
            let mut role = good();
            role.token_max_ttl = seconds;
            let found = judge(&role, "p");
            assert!(
                matches!(found.as_slice(), [one] if one.state == State::Warning && one.what.contains(words)),
                "{seconds:?}: {found:?}"
            );
            // Beside a fault, not instead of it.
            role.token_type = None;
            assert_eq!(judge(&role, "p").len(), 2);
        }
        for good_seconds in [1, 3600, MAX_TTL] {
            let mut role = good();
            role.token_max_ttl = Some(good_seconds);
            assert_eq!(judge(&role, "p")[0].state, State::Ok);
        }
    }

    #[test]
    fn each_setting_is_told_by_name() {
        assert_eq!(judge(&good(), "p")[0].state, State::Ok);
        type Change = fn(&mut LoginRoleFacts);
        let cases: [(Change, &str); 7] = [
            (|r| r.token_policies = None, "token_policies"),
            (
                |r| r.token_policies = Some(vec!["a".into(), "b".into()]),
                "`a`, `b`",
            ),
            (
                |r| r.token_no_default_policy = None,
                "token_no_default_policy",
            ),
            (|r| r.token_type = Some("default".into()), "token_type"),
            (|r| r.token_num_uses = Some(3), "`token_num_uses` is 3"),
            (|r| r.token_period = Some(60), "token_period"),
            (|r| r.bind_secret_id = Some(false), "bind_secret_id"),
        ];
        for (change, words) in cases {
            let mut role = good();
            change(&mut role);
            let found = judge(&role, "p");
            assert!(
                matches!(found.as_slice(), [one] if one.state == State::Fault && one.what.contains(words)),
                "{words}: {found:?}"
            );
        }
    }
}

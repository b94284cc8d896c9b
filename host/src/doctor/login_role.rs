//! The settings of the host's log-in in Vault.

use std::fmt::Display;

use super::policies::failed;
use super::{Check, CheckId, Report};
use crate::vault::config::AuthConfig;
use crate::vault::inspect::{LoginFacts, LoginRole, LoginRoleFacts, Reviewer};
use crate::vault::policy::HOST_POLICY;

const ID: CheckId = CheckId::LoginRole;

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
    if wrong.is_empty() {
        let what = "the log-in gives the host's policy and nothing else";
        return vec![Check::ok(ID, place, what)];
    }
    wrong
        .into_iter()
        .map(|(what, cure)| Check::fault(ID, place, what, cure))
        .collect()
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
            bind_secret_id: Some(true),
            ..LoginRoleFacts::default()
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

//! The role that a task's attempts log in to as themselves: whom Vault admits
//! in their place, and with what.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::policies::failed;
use super::texts::write_task;
use super::{Check, CheckId, Report};
use crate::config::value::bounded;
use crate::grants::{Grants, JwtAuthority};
use crate::vault::config::IdentityConfig;
use crate::vault::inspect::Reviewer;

const ID: CheckId = CheckId::TaskRole;

/// What a role of several tasks says is its operator's: whom it admits, and
/// for how long the longest of them runs.
const OF_SEVERAL: [&str; 4] = [
    "bound_claims",
    "token_ttl",
    "token_max_ttl",
    "token_explicit_max_ttl",
];

/// Settings that `cofferdam policy` leaves as Vault has them, and what they
/// are then. Each of them can make a role wider: by a pattern in a bound claim,
/// a group's policies, policies that a JWT names, or a JWT that is over.
fn untouched() -> [(&'static str, Value); 7] {
    [
        ("bound_claims_type", json!("string")),
        ("groups_claim", json!("")),
        ("token_policies_template_claims", json!(false)),
        ("user_claim_json_pointer", json!(false)),
        ("clock_skew_leeway", json!(0)),
        ("expiration_leeway", json!(0)),
        ("not_before_leeway", json!(0)),
    ]
}

/// The role's path.
pub(super) fn place(jwt: &JwtAuthority) -> String {
    format!("auth/{}/role/{}", jwt.mount, jwt.role)
}

/// Reads the role and judges it.
pub(super) async fn check(
    reviewer: &Reviewer<'_>,
    grants: &Grants,
    jwt: &JwtAuthority,
    identity: Option<&IdentityConfig>,
    report: &mut Report,
) {
    let place = place(jwt);
    let Some(identity) = identity else {
        let what = format!(
            "the task `{}` logs in as itself, and there is no `[vault.identity]`",
            grants.task
        );
        let cure = "add the table `[vault.identity]`; docs/VAULT.md describes it";
        return report.push(Check::fault(ID, place, what, cure));
    };
    let found = match place.parse() {
        Ok(path) => reviewer.settings(&path).await,
        // A mount and a role that were taken apart make a path together.
        Err(_) => Ok(None),
    };
    match found {
        Ok(Some(found)) => report.extend(judge(grants, jwt, identity, &found)),
        Ok(None) => {
            let what = format!(
                "vault knows no such role: no attempt of `{}` can log in",
                grants.task
            );
            report.push(Check::fault(ID, place, what, cure(grants, jwt)));
        }
        Err(error) => failed(report, ID, &place, &error),
    }
}

fn cure(grants: &Grants, jwt: &JwtAuthority) -> String {
    if jwt.owns_role(&grants.task) {
        write_task(&grants.task)
    } else {
        format!(
            "the role is yours to write: compare it with `cofferdam policy {}`",
            grants.task
        )
    }
}

fn judge(
    grants: &Grants,
    jwt: &JwtAuthority,
    identity: &IdentityConfig,
    found: &Map<String, Value>,
) -> Vec<Check> {
    let (place, own) = (place(jwt), jwt.owns_role(&grants.task));
    let mut checks = Vec::new();
    // A role is a plain structure: it cannot fail to be JSON.
    let want = serde_json::to_value(jwt.vault_role(grants, identity)).unwrap_or_default();
    for (name, want) in want.as_object().into_iter().flatten() {
        if !own && OF_SEVERAL.contains(&name.as_str()) {
            continue;
        }
        let seen = found.get(name).unwrap_or(&Value::Null);
        for what in differences(name, want, seen) {
            checks.push(Check::fault(ID, place.as_str(), what, cure(grants, jwt)));
        }
    }
    for (name, usual) in untouched() {
        let seen = found.get(name).unwrap_or(&Value::Null);
        if !seen.is_null() && !is_same(&usual, seen) {
            let what = format!("`{name}` is {}, and should be {usual}", shown(seen));
            // Not every version sets anew what a write of ours leaves out.
            let cure =
                format!("review why it is so, then `bao delete {place}`, and write the role again");
            checks.push(Check::fault(ID, place.as_str(), what, cure));
        }
    }
    if !own {
        let what = "it serves several tasks: whom it admits, and how long, is not compared";
        let cure =
            "review its `bound_claims` and lives by hand, or leave `role` out for the task's own";
        checks.push(Check::unproven(ID, place.as_str(), what, cure));
    }
    if checks.is_empty() {
        let what = "the role is what `cofferdam policy` writes, and no wider";
        checks.push(Check::ok(ID, place, what));
    }
    checks
}

/// What differs in one setting, in words; each claim by itself.
fn differences(name: &str, want: &Value, seen: &Value) -> Vec<String> {
    if let (Value::Object(wanted), Value::Object(_) | Value::Null) = (want, seen) {
        let empty = Map::new();
        let seen = seen.as_object().unwrap_or(&empty);
        let keys: BTreeSet<_> = wanted.keys().chain(seen.keys()).collect();
        let of = |map: &Map<String, Value>, key: &String| map.get(key).cloned().unwrap_or_default();
        return keys
            .into_iter()
            .filter_map(|key| {
                let name = format!("{name}.{}", bounded(key));
                difference(&name, &of(wanted, key), &of(seen, key))
            })
            .collect();
    }
    difference(name, want, seen).into_iter().collect()
}

fn difference(name: &str, want: &Value, seen: &Value) -> Option<String> {
    let should = if want.is_null() {
        "should not be there".to_owned()
    } else {
        format!("should be {}", shown(want))
    };
    (!is_same(want, seen)).then(|| format!("`{name}` is {}, and {should}", shown(seen)))
}

/// The order of a list says nothing, and what Vault leaves out is what it
/// would show as nothing.
fn is_same(want: &Value, seen: &Value) -> bool {
    match (want, seen) {
        (Value::Array(_), _) | (_, Value::Array(_)) => listed(want) == listed(seen),
        _ if is_nothing(want) => is_nothing(seen),
        _ => want == seen,
    }
}

/// The texts of a list; one that stands alone is a list of one.
fn listed(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Array(all) => all.iter().map(ToString::to_string).collect(),
        Value::Null => BTreeSet::new(),
        one => BTreeSet::from([one.to_string()]),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(yes) => !yes,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
    }
}

/// A value from Vault, fit for a terminal.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "not set".to_owned(),
        value => format!("`{}`", bounded(&plain(value))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(", "),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::State;
    use super::*;
    use crate::digest::Digest;

    fn grants(authority: &str) -> Grants {
        let digest = Digest::of(b"");
        let text = format!(
            "task = \"t\"\ncomponent = \"t.wasm\"\ndigest = \"{digest}\"\n\
             [caller]\ndags = [\"d\", \"e\"]\nidentity = \"claimed\"\n[authority.jwt]\n{authority}\n\
             [keys.s]\ntransit = {{ mount = \"transit\", key = \"k\" }}\nallow = [\"sign\"]\n"
        );
        Grants::parse(&text, Path::new("t.toml"), digest).unwrap()
    }

    fn identity() -> IdentityConfig {
        toml::from_str("issuer = \"i\"\naudience = \"a\"").unwrap()
    }

    /// The role as Vault shows what we write.
    fn written(grants: &Grants) -> Map<String, Value> {
        let jwt = grants.authority.as_ref().unwrap();
        let mut role = serde_json::to_value(jwt.vault_role(grants, &identity())).unwrap();
        let role = role.as_object_mut().unwrap();
        role.extend(untouched().map(|(name, value)| (name.to_owned(), value)));
        role.insert("oidc_scopes".to_owned(), Value::Null);
        role.clone()
    }

    fn judged(grants: &Grants, found: &Map<String, Value>) -> Vec<Check> {
        judge(
            grants,
            grants.authority.as_ref().unwrap(),
            &identity(),
            found,
        )
    }

    #[test]
    fn each_field_that_differs_is_named_with_its_cure() {
        let grants = grants("");
        let good = written(&grants);
        let found = judged(&grants, &good);
        assert!(
            matches!(&found[..], [one] if one.state == State::Ok),
            "{found:?}"
        );
        let cases = [
            ("role_type", json!("oidc"), "`role_type`"),
            ("user_claim", json!("email"), "`user_claim`"),
            ("bound_audiences", json!(["a", "b"]), "`bound_audiences`"),
            (
                "bound_claims",
                json!({"task": ["t"], "dag_id": ["d", "e", "f"], "assurance": ["claimed", "attested"]}),
                "`bound_claims.dag_id`",
            ),
            (
                "bound_claims",
                json!({"dag_id": ["e", "d"], "assurance": ["attested", "claimed"]}),
                "`bound_claims.task` is not set",
            ),
            (
                "token_policies",
                json!(["cofferdam-task-t", "x\u{1b}"]),
                "`token_policies`",
            ),
            (
                "token_no_default_policy",
                json!(false),
                "`token_no_default_policy`",
            ),
            ("token_type", json!("default"), "`token_type`"),
            ("token_ttl", json!(7200), "`token_ttl` is `7200`"),
            ("token_max_ttl", json!(7200), "`token_max_ttl` is `7200`"),
            (
                "token_explicit_max_ttl",
                json!(0),
                "`token_explicit_max_ttl`",
            ),
            ("token_period", json!(60), "`token_period`"),
            ("token_num_uses", json!(1), "`token_num_uses`"),
            ("bound_claims_type", json!("glob"), "`bound_claims_type`"),
            ("groups_claim", json!("groups"), "`groups_claim`"),
            ("expiration_leeway", json!(-1), "`expiration_leeway`"),
        ];
        for (name, value, words) in cases {
            let mut role = good.clone();
            role.insert(name.to_owned(), value);
            let found = judged(&grants, &role);
            assert!(
                matches!(&found[..], [one] if one.state == State::Fault
                    && one.what.contains(words) && !one.what.contains('\u{1b}')),
                "{words}: {found:?}"
            );
        }
        let mappings = good["claim_mappings"].as_object().unwrap().len();
        let mut role = good.clone();
        role.insert("claim_mappings".to_owned(), Value::Null);
        assert_eq!(judged(&grants, &role).len(), mappings);
    }

    #[test]
    fn order_and_what_vault_leaves_out_say_nothing() {
        let grants = grants("");
        let mut role = written(&grants);
        role.insert(
            "bound_claims".to_owned(),
            json!({"task": "t", "dag_id": ["e", "d"], "assurance": ["claimed", "attested"]}),
        );
        for name in ["token_period", "token_num_uses", "groups_claim"] {
            role.remove(name);
        }
        let found = judged(&grants, &role);
        assert!(
            matches!(&found[..], [one] if one.state == State::Ok),
            "{found:?}"
        );
    }

    #[test]
    fn a_role_of_several_tasks_is_compared_in_what_all_share() {
        let grants = grants("role = \"many\"");
        let mut role = written(&grants);
        role.insert("bound_claims".to_owned(), json!({"dag_id": ["z"]}));
        role.insert("token_ttl".to_owned(), json!(9999));
        let found = judged(&grants, &role);
        assert!(
            matches!(&found[..], [one] if one.state == State::NotProven),
            "{found:?}"
        );
        role.insert("token_type".to_owned(), json!("batch"));
        assert_eq!(judged(&grants, &role)[0].state, State::Fault);
    }
}

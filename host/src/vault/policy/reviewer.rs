//! The rights of a reviewer's token, for `cofferdam doctor`.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::vault::config::VaultConfig;
use crate::vault::inspect::login_role_pattern;
use crate::vault::path::{VaultName, VaultPath};

/// The name of the policy of a reviewer's token.
pub const REVIEWER_POLICY: &str = "cofferdam-reviewer";

/// Everything that `cofferdam doctor` reads to prove how wide the rights are,
/// as HCL. All of it is reading: such a token sees policies, roles and
/// identities, and no secret. `identity` are the mounts that attempts log in to
/// as themselves.
///
/// It has patterns, which the policies of tasks and hosts never have: which
/// policies and groups there are is what is to be found out.
pub fn reviewer_policy(
    token_role: &VaultName,
    vault: Option<&VaultConfig>,
    identity: &BTreeSet<VaultPath>,
) -> String {
    let mut rules = vec![
        ("sys/policies/acl".to_owned(), "list"),
        ("sys/policies/acl/*".to_owned(), "read"),
        (format!("auth/token/roles/{token_role}"), "read"),
        ("identity/entity/id/+".to_owned(), "read"),
        ("identity/group/id/+".to_owned(), "read"),
    ];
    if let Some(role) = vault.and_then(|vault| login_role_pattern(&vault.auth)) {
        rules.push((role, "read"));
    }
    for mount in identity {
        let roles = format!("auth/{mount}/role/+");
        // The host's own log-in may be made there too.
        if rules.iter().all(|(path, _)| *path != roles) {
            rules.push((roles, "read"));
        }
    }
    let mut text = String::new();
    for (path, capability) in rules {
        let gap = if text.is_empty() { "" } else { "\n" };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{gap}path \"{path}\" {{\n  capabilities = [\"{capability}\"]\n}}\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reviewer_reads_and_does_nothing_else() {
        let vault: VaultConfig = toml::from_str(
            "address = \"https://v\"\n[auth.approle]\nrole_id = \"r\"\nsecret_id_file = \"s\"\n",
        )
        .expect("fine");
        let mount = |text: &str| text.parse::<VaultPath>().expect("mount");
        let mounts = [mount("dags"), mount("approle")].into();
        let text = reviewer_policy(&"cofferdam".parse().expect("name"), Some(&vault), &mounts);
        insta::assert_snapshot!(text, @r#"
        path "sys/policies/acl" {
          capabilities = ["list"]
        }

        path "sys/policies/acl/*" {
          capabilities = ["read"]
        }

        path "auth/token/roles/cofferdam" {
          capabilities = ["read"]
        }

        path "identity/entity/id/+" {
          capabilities = ["read"]
        }

        path "identity/group/id/+" {
          capabilities = ["read"]
        }

        path "auth/approle/role/+" {
          capabilities = ["read"]
        }

        path "auth/dags/role/+" {
          capabilities = ["read"]
        }
        "#);
        assert!(!REVIEWER_POLICY.starts_with("cofferdam-task-"));
    }
}

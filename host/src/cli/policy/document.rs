//! The policies with their heads, for people, machines and Vault.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::error::PolicyCommandError;
use super::jwt::RoleDocument;
use crate::digest::Digest;
use crate::grants::Grants;
use crate::name::TaskName;
use crate::vault::VaultConfig;
use crate::vault::config::IdentityConfig;
use crate::vault::path::{VaultName, VaultPath};
use crate::vault::policy::{
    HOST_POLICY, REVIEWER_POLICY, TokenRole, host_policy, reviewer_policy, task_policy_name,
};

/// What was asked for.
#[derive(Debug, Serialize)]
pub(super) struct Documents {
    /// Whether Vault has them now.
    pub(super) written: bool,
    /// The host's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<HostDocument>,
    /// A reviewer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reviewer: Option<ReviewerDocument>,
    /// One for each task.
    pub(super) tasks: Vec<TaskDocument>,
}

/// The policy of one task.
#[derive(Debug, Serialize)]
pub(super) struct TaskDocument {
    task: TaskName,
    /// The digest of the grants file that it was made from.
    grants: Digest,
    /// The policy's name in Vault.
    pub(super) policy: VaultName,
    /// Its text.
    pub(super) hcl: String,
    /// The role that the task's attempts log in to as themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) jwt: Option<RoleDocument>,
    /// Whether attempts carry the policy; one that nobody carries is not written.
    pub(super) carried: bool,
}

/// The policy of the host's own log-in, and the token role.
#[derive(Debug, Serialize)]
pub(super) struct HostDocument {
    /// The policy's name in Vault.
    pub(super) policy: VaultName,
    /// Its text.
    pub(super) hcl: String,
    /// The token role's name.
    pub(super) token_role: VaultName,
    /// Its settings, as `auth/token/roles/NAME` takes them.
    pub(super) role: TokenRole,
}

/// The policy of a token for `cofferdam doctor`.
#[derive(Debug, Serialize)]
pub(super) struct ReviewerDocument {
    /// The policy's name in Vault.
    pub(super) policy: VaultName,
    /// Its text.
    pub(super) hcl: String,
    /// How such a token is made.
    token: String,
}

impl TaskDocument {
    pub(super) fn new(
        grants: &Grants,
        identity: Option<&IdentityConfig>,
    ) -> Result<Self, PolicyCommandError> {
        let policy = task_policy_name(&grants.task);
        let rules = grants.policy().to_hcl()?;
        let rules = match rules.as_str() {
            // Vault takes no empty policy; one without rules allows nothing.
            "" => "# The task needs nothing in Vault.\n",
            rules => rules,
        };
        let hcl = format!(
            "# {policy}: all that the task `{}` may do in Vault.\n\
             # Written by cofferdam from the grants file {}.\n{rules}",
            grants.task, grants.source
        );
        Ok(Self {
            task: grants.task.clone(),
            grants: grants.source,
            policy: policy.parse()?,
            hcl,
            jwt: RoleDocument::new(grants, identity)?,
            carried: (grants.authority.as_ref())
                .is_none_or(|jwt| jwt.carries_task_policy(&grants.task)),
        })
    }

    /// What was written, or what there is to write.
    fn parts(&self, written: bool, parts: &mut Vec<String>) -> fmt::Result {
        match (written, self.carried) {
            (true, true) => parts.push(format!("wrote the policy `{}`", self.policy)),
            (true, false) => {}
            (false, true) => parts.push(self.hcl.clone()),
            (false, false) => parts.push(format!(
                "# {}: not written, since the task's attempts do not carry it.\n",
                self.policy
            )),
        }
        let Some(RoleDocument {
            mount,
            name,
            own,
            role,
        }) = &self.jwt
        else {
            return Ok(());
        };
        if written && *own {
            parts.push(format!("wrote the role `auth/{mount}/role/{name}`"));
            return Ok(());
        }
        let whose = if *own {
            "the role that attempts of this task log in to as themselves.\n# It is no policy:"
        } else {
            "a role of several tasks, which is yours to write. It needs:"
        };
        let role = serde_json::to_string(role).map_err(|_| fmt::Error)?;
        parts.push(format!(
            "# {name}: {whose}\n# echo '{role}' | bao write auth/{mount}/role/{name} -\n"
        ));
        Ok(())
    }
}

impl HostDocument {
    pub(super) fn new(token_role: &VaultName) -> Result<Self, PolicyCommandError> {
        let hcl = format!(
            "# {HOST_POLICY}: all that the log-in of a Cofferdam host may do. Whoever holds it can\n\
             # mint every task's authority: give it to nobody else.\n{}",
            host_policy(token_role).to_hcl()?
        );
        Ok(Self {
            policy: HOST_POLICY.parse()?,
            hcl,
            token_role: token_role.clone(),
            role: TokenRole::standard(),
        })
    }
}

impl ReviewerDocument {
    pub(super) fn new(
        token_role: &VaultName,
        vault: Option<&VaultConfig>,
        identity: &BTreeSet<VaultPath>,
    ) -> Result<Self, PolicyCommandError> {
        let hcl = format!(
            "# {REVIEWER_POLICY}: what `cofferdam doctor --token-file` reads: policies, roles and\n\
             # identities, and no secret.\n{}",
            reviewer_policy(token_role, vault, identity)
        );
        Ok(Self {
            policy: REVIEWER_POLICY.parse()?,
            hcl,
            token: format!(
                "(umask 077 && bao token create -field=token -policy={REVIEWER_POLICY} \
                 -no-default-policy -ttl=15m > reviewer-token)"
            ),
        })
    }
}

impl fmt::Display for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(host) = &self.host {
            let name = &host.token_role;
            if self.written {
                parts.push(format!("wrote the policy `{}`", host.policy));
                parts.push(format!("wrote the token role `{name}`"));
            } else {
                parts.push(host.hcl.clone());
                let role = serde_json::to_string(&host.role).map_err(|_| fmt::Error)?;
                parts.push(format!(
                    "# {name}: the token role that attempts are minted through. It is no policy:\n\
                     # echo '{role}' | bao write auth/token/roles/{name} -\n"
                ));
            }
        }
        if let Some(reviewer) = &self.reviewer {
            parts.push(if self.written {
                format!("wrote the policy `{}`", reviewer.policy)
            } else {
                reviewer.hcl.clone()
            });
            parts.push(format!(
                "# a token with it, for a quarter of an hour:\n# {}\n",
                reviewer.token
            ));
        }
        for task in &self.tasks {
            task.parts(self.written, &mut parts)?;
        }
        f.write_str(parts.join("\n").trim_end())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use insta::assert_snapshot;

    use super::*;
    use crate::vault::policy::PolicyRules;

    fn grants(tables: &str) -> Grants {
        let digest = Digest::of(b"");
        let text = format!(
            "task = \"t\"\ncomponent = \"t.wasm\"\ndigest = \"{digest}\"\n\
             [caller]\ndags = [\"d\"]\n{tables}"
        );
        Grants::parse(&text, Path::new("t.toml"), digest).unwrap()
    }

    #[test]
    fn a_task_gets_its_paths_under_a_head() {
        let grants = grants(
            "[keys.signer]\ntransit = { mount = \"transit\", key = \"k\" }\nallow = [\"sign\"]\n",
        );
        let task = TaskDocument::new(&grants, None).unwrap();
        assert_eq!(PolicyRules::parse_hcl(&task.hcl).unwrap(), grants.policy());
        let mut documents = Documents {
            written: false,
            host: None,
            reviewer: None,
            tasks: vec![task],
        };
        assert_snapshot!(documents, @r#"
        # cofferdam-task-t: all that the task `t` may do in Vault.
        # Written by cofferdam from the grants file sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.
        path "transit/sign/k" {
          capabilities = ["update"]
        }
        "#);
        documents.written = true;
        assert_snapshot!(documents, @"wrote the policy `cofferdam-task-t`");
    }

    #[test]
    fn a_task_that_needs_nothing_gets_a_policy_without_rules() {
        let task = TaskDocument::new(&grants(""), None).unwrap();
        assert_eq!(
            PolicyRules::parse_hcl(&task.hcl).unwrap(),
            PolicyRules::default()
        );
        assert_snapshot!(task.hcl, @r"
        # cofferdam-task-t: all that the task `t` may do in Vault.
        # Written by cofferdam from the grants file sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.
        # The task needs nothing in Vault.
        ");
    }

    #[test]
    fn the_host_gets_its_policy_and_the_role_as_a_comment() {
        let host = HostDocument::new(&"cofferdam".parse().unwrap()).unwrap();
        let rules = PolicyRules::parse_hcl(&host.hcl).unwrap();
        let documents = Documents {
            written: false,
            host: Some(host),
            reviewer: None,
            tasks: Vec::new(),
        };
        let text = documents.to_string();
        assert_eq!(PolicyRules::parse_hcl(&text).unwrap(), rules);
        assert!(text.contains("path \"auth/token/create/cofferdam\""));
        let tail: Vec<_> = text.lines().rev().take(2).collect();
        assert_snapshot!(tail.join("\n"), @r#"
        # echo '{"allowed_policies_glob":["cofferdam-task-*"],"orphan":false,"renewable":false,"token_type":"service","token_no_default_policy":true,"token_explicit_max_ttl":90000}' | bao write auth/token/roles/cofferdam -
        # cofferdam: the token role that attempts are minted through. It is no policy:
        "#);
    }

    #[test]
    fn a_reviewer_gets_a_policy_and_the_command_for_a_token() {
        let role = "cofferdam".parse().unwrap();
        let mut documents = Documents {
            written: false,
            host: None,
            reviewer: Some(ReviewerDocument::new(&role, None, &BTreeSet::new()).unwrap()),
            tasks: Vec::new(),
        };
        let text = documents.to_string();
        assert!(
            text.contains("path \"auth/token/roles/cofferdam\""),
            "{text}"
        );
        assert!(text.contains("# (umask 077 && bao token create"), "{text}");
        documents.written = true;
        let text = documents.to_string();
        assert!(
            text.starts_with("wrote the policy `cofferdam-reviewer`\n# a token"),
            "{text}"
        );
    }
}

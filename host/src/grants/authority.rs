//! How a task's attempts get their authority in Vault.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::Grants;
use crate::identity::Assurance;
use crate::name::TaskName;
use crate::vault::attempt_life;
use crate::vault::config::IdentityConfig;
use crate::vault::path::{VaultName, VaultPath};
use crate::vault::policy::{JwtRole, PolicyName, task_policy_name};

/// The mount of attempts' own log-ins, unless the file names another.
const DEFAULT_MOUNT: &str = "cofferdam-jwt";

/// What the policies of tasks begin with.
const TASK_POLICY: &str = "cofferdam-task-";

/// Most policies of one task: a reviewer has to know each.
const MAX_POLICIES: usize = 8;

/// The `[authority.jwt]` table: each attempt logs in to Vault as its own DAG's
/// task, instead of with a child token of the host's log-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtAuthority {
    /// Where the JWT method is mounted, below `auth/`.
    pub mount: VaultPath,
    /// The role. That of the task's policy's name is the task's own.
    pub role: VaultName,
    /// All policies that an attempt carries.
    pub policies: BTreeSet<PolicyName>,
}

/// The `[authority]` table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAuthority {
    jwt: RawJwt,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJwt {
    mount: Option<VaultPath>,
    role: Option<VaultName>,
    policies: Option<Vec<PolicyName>>,
}

/// A field of the table that does not fit the task, with problem and cure.
pub(super) struct InvalidAuthority {
    pub(super) field: &'static str,
    pub(super) message: String,
}

impl JwtAuthority {
    /// True when the role serves this task alone, and `cofferdam policy` writes it.
    pub fn owns_role(&self, task: &TaskName) -> bool {
        self.role.as_str() == task_policy_name(task)
    }

    /// True when attempts carry the policy that is made from the grants.
    pub fn carries_task_policy(&self, task: &TaskName) -> bool {
        let own = task_policy_name(task);
        self.policies.iter().any(|policy| policy.as_str() == own)
    }

    /// The role that the task's grants ask for, as `cofferdam policy` writes it
    /// and the doctor wants it. `grants` are those that this table stands in.
    pub fn vault_role(&self, grants: &Grants, identity: &IdentityConfig) -> JwtRole {
        // Of a role that serves others too, nobody here knows whom.
        let bound = if self.owns_role(&grants.task) {
            bound(grants)
        } else {
            BTreeMap::new()
        };
        let life = attempt_life(grants.limits.timeout + grants.limits.grace);
        JwtRole::new(
            identity.audience.as_str(),
            bound,
            &self.policies,
            life.as_secs(),
        )
    }
}

/// Vault admits whom the grants admit.
fn bound(grants: &Grants) -> BTreeMap<String, Vec<String>> {
    let assured = match grants.caller.identity {
        Assurance::Attested => vec![Assurance::Attested],
        Assurance::Claimed => vec![Assurance::Attested, Assurance::Claimed],
    };
    let assured = assured.iter().map(ToString::to_string).collect();
    BTreeMap::from([
        ("task".to_owned(), vec![grants.task.to_string()]),
        ("dag_id".to_owned(), grants.caller.dags.clone()),
        ("assurance".to_owned(), assured),
    ])
}

impl RawAuthority {
    /// Fills in what the task's name gives.
    pub(super) fn of_task(self, task: &TaskName) -> Result<JwtAuthority, InvalidAuthority> {
        let own = task_policy_name(task);
        let fault = |field, message: String| InvalidAuthority { field, message };
        let unnamed = |field| move |_| fault(field, "cannot be made of the task's name".to_owned());
        let raw = self.jwt;
        let mut policies = BTreeSet::new();
        for policy in raw.policies.iter().flatten() {
            if policy.as_str().starts_with(TASK_POLICY) && policy.as_str() != own {
                let message = format!(
                    "`{policy}` belongs to another task\nname policies of your own, or `{own}`"
                );
                return Err(fault("policies", message));
            }
            if !policies.insert(policy.clone()) {
                let message = format!("`{policy}` stands here twice\nkeep one of the two");
                return Err(fault("policies", message));
            }
        }
        match raw.policies {
            None => {
                policies.insert(own.parse().map_err(|_| {
                    fault("policies", "cannot be made of the task's name".to_owned())
                })?);
            }
            Some(_) if policies.is_empty() || policies.len() > MAX_POLICIES => {
                let message = "names no policy or too many\nname 1 to 8, or leave the field out for the task's own";
                return Err(fault("policies", message.to_owned()));
            }
            Some(_) => {}
        }
        Ok(JwtAuthority {
            mount: match raw.mount {
                Some(mount) => mount,
                None => DEFAULT_MOUNT.parse().map_err(unnamed("mount"))?,
            },
            role: match raw.role {
                Some(role) => role,
                None => own.parse().map_err(unnamed("role"))?,
            },
            policies,
        })
    }
}

//! The role of a task whose attempts log in as themselves.

use std::collections::BTreeMap;

use serde::Serialize;

use super::error::PolicyCommandError;
use crate::grants::Grants;
use crate::identity::Assurance;
use crate::vault::attempt_life;
use crate::vault::config::IdentityConfig;
use crate::vault::path::{VaultName, VaultPath};
use crate::vault::policy::JwtRole;

/// A role of a JWT mount.
#[derive(Debug, Serialize)]
pub(super) struct RoleDocument {
    /// Where the method is mounted, below `auth/`.
    pub(super) mount: VaultPath,
    /// The role's name.
    pub(super) name: VaultName,
    /// Whether it serves this task alone; a role of several is only shown.
    pub(super) own: bool,
    /// Its settings, as `auth/MOUNT/role/NAME` takes them.
    pub(super) role: JwtRole,
}

impl RoleDocument {
    /// The role that the grants ask for; none when they ask for no log-in.
    pub(super) fn new(
        grants: &Grants,
        identity: Option<&IdentityConfig>,
    ) -> Result<Option<Self>, PolicyCommandError> {
        let Some(jwt) = &grants.authority else {
            return Ok(None);
        };
        let identity = identity.ok_or_else(|| PolicyCommandError::NoIdentity {
            task: grants.task.clone(),
        })?;
        let own = jwt.owns_role(&grants.task);
        // Of a role that serves others too, nobody here knows whom.
        let bound = if own { bound(grants) } else { BTreeMap::new() };
        let life = attempt_life(grants.limits.timeout + grants.limits.grace);
        Ok(Some(Self {
            mount: jwt.mount.clone(),
            name: jwt.role.clone(),
            own,
            role: JwtRole::new(
                identity.audience.as_str(),
                bound,
                &jwt.policies,
                life.as_secs(),
            ),
        }))
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

//! The role of a task whose attempts log in as themselves.

use serde::Serialize;

use super::error::PolicyCommandError;
use crate::grants::Grants;
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
        Ok(Some(Self {
            mount: jwt.mount.clone(),
            name: jwt.role.clone(),
            own,
            role: jwt.vault_role(grants, identity),
        }))
    }
}

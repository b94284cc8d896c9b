//! What an administrator's token sets up: policies and roles.

use http::Method;
use serde_json::json;

use super::client::{Call, Client};
use super::error::Operation;
use super::path::{VaultName, VaultPath};
use super::policy::{JwtRole, TokenRole};
use super::{VaultConfig, VaultError};
use crate::secret::Secret;

/// A connection with an administrator's token. It is used for writing
/// policies and the role, and kept nowhere.
pub struct Admin {
    client: Client,
    token: Secret,
}

impl Admin {
    /// Prepares; contacts nobody.
    pub fn connect(config: &VaultConfig, token: Secret) -> Result<Self, VaultError> {
        Ok(Self {
            client: Client::new(config)?,
            token,
        })
    }

    /// Creates or replaces a policy. `hcl` comes from
    /// [`PolicyRules::to_hcl`](super::policy::PolicyRules::to_hcl), perhaps
    /// with comments before it.
    pub async fn put_policy(&self, name: &VaultName, hcl: &str) -> Result<(), VaultError> {
        self.put(
            &format!("sys/policies/acl/{name}"),
            &json!({ "policy": hcl }),
        )
        .await
    }

    /// Creates or replaces the token role.
    pub async fn put_token_role(
        &self,
        name: &VaultName,
        role: &TokenRole,
    ) -> Result<(), VaultError> {
        self.put(&format!("auth/token/roles/{name}"), role).await
    }

    /// Creates or replaces a role of a JWT mount.
    pub async fn put_jwt_role(
        &self,
        mount: &VaultPath,
        name: &VaultName,
        role: &JwtRole,
    ) -> Result<(), VaultError> {
        self.put(&format!("auth/{mount}/role/{name}"), role).await
    }

    async fn put(&self, path: &str, body: &impl serde::Serialize) -> Result<(), VaultError> {
        let call = Call::with_body(Operation::Write, Method::PUT, path, body)?;
        self.client
            .send(&call, Some(&self.token))
            .await?
            .success()?;
        Ok(())
    }
}

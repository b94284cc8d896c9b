//! What an administrator's token sets up: policies and the token role.

use super::path::VaultName;
use super::policy::TokenRole;
use super::{VaultConfig, VaultError};
use crate::secret::Secret;

/// A connection with an administrator's token.
pub struct Admin(());

impl Admin {
    /// Prepares; contacts nobody.
    pub fn connect(_config: &VaultConfig, _token: Secret) -> Result<Self, VaultError> {
        Ok(Self(()))
    }

    /// Creates or replaces a policy.
    pub async fn put_policy(&self, _name: &VaultName, _hcl: &str) -> Result<(), VaultError> {
        Err(VaultError::Closed)
    }

    /// Creates or replaces the token role.
    pub async fn put_token_role(
        &self,
        _name: &VaultName,
        _role: &TokenRole,
    ) -> Result<(), VaultError> {
        Err(VaultError::Closed)
    }
}

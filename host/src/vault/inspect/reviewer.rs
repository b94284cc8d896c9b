//! What a reviewer's token may read.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::secret::Secret;
use crate::vault::VaultError;
use crate::vault::client::Call;
use crate::vault::error::Operation;
use crate::vault::path::{VaultName, VaultPath};
use crate::vault::shared::Shared;

/// Vault through a reviewer's token. The token is somebody else's: it is used
/// for reading, and neither renewed nor revoked.
pub struct Reviewer<'a> {
    pub(super) shared: &'a Shared,
    pub(super) token: Secret,
}

/// A token role as `auth/token/roles/NAME` shows it. What a server leaves out
/// is absent, not false.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are Vault's, by Vault's names")]
pub struct TokenRoleFacts {
    pub allowed_policies: Option<Vec<String>>,
    pub allowed_policies_glob: Option<Vec<String>>,
    pub allowed_entity_aliases: Option<Vec<String>>,
    pub disallowed_policies: Option<Vec<String>>,
    pub disallowed_policies_glob: Option<Vec<String>>,
    pub orphan: Option<bool>,
    pub renewable: Option<bool>,
    pub token_type: Option<String>,
    pub token_no_default_policy: Option<bool>,
    pub token_explicit_max_ttl: Option<u64>,
    pub token_num_uses: Option<u64>,
    pub token_period: Option<u64>,
    /// The old name of `token_period`.
    pub period: Option<u64>,
}

/// The settings of a log-in, which every method calls the same.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are Vault's, by Vault's names")]
pub struct LoginRoleFacts {
    pub token_policies: Option<Vec<String>>,
    pub token_no_default_policy: Option<bool>,
    pub token_type: Option<String>,
    pub token_num_uses: Option<u64>,
    pub token_ttl: Option<u64>,
    pub token_max_ttl: Option<u64>,
    pub token_period: Option<u64>,
    /// AppRole's: false means that the role-id alone logs in.
    pub bind_secret_id: Option<bool>,
}

/// The identity of a log-in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are Vault's, by Vault's names")]
pub struct EntityFacts {
    pub name: Option<String>,
    pub policies: Option<Vec<String>>,
    /// Direct and inherited ones.
    pub group_ids: Option<Vec<String>>,
}

/// A group of identities.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are Vault's, by Vault's names")]
pub struct GroupFacts {
    pub name: Option<String>,
    pub policies: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Policy {
    policy: String,
}

#[derive(Deserialize)]
struct Names {
    keys: Vec<String>,
}

impl Reviewer<'_> {
    /// The text of a policy; `None` when there is none of this name.
    ///
    /// # Errors
    /// A refusal, and everything that keeps Vault from answering.
    pub async fn policy(&self, name: &VaultName) -> Result<Option<String>, VaultError> {
        let path = format!("sys/policies/acl/{name}");
        let policy: Option<Policy> = self.read(&path).await?;
        Ok(policy.map(|found| found.policy))
    }

    /// The names of all policies.
    ///
    /// # Errors
    /// As [`Reviewer::policy`].
    pub async fn policy_names(&self) -> Result<Vec<String>, VaultError> {
        let call = Call::list(Operation::Review, "sys/policies/acl")?;
        let names: Option<Names> = self.ask(&call).await?;
        Ok(names.map(|names| names.keys).unwrap_or_default())
    }

    /// The token role.
    ///
    /// # Errors
    /// As [`Reviewer::policy`].
    pub async fn token_role(&self, name: &VaultName) -> Result<Option<TokenRoleFacts>, VaultError> {
        self.read(&format!("auth/token/roles/{name}")).await
    }

    /// The settings of the log-in.
    ///
    /// # Errors
    /// As [`Reviewer::policy`].
    pub async fn login_role(&self, path: &VaultPath) -> Result<Option<LoginRoleFacts>, VaultError> {
        self.read(path.as_str()).await
    }

    /// All settings at a path, by Vault's own names.
    ///
    /// # Errors
    /// As [`Reviewer::policy`].
    pub async fn settings(
        &self,
        path: &VaultPath,
    ) -> Result<Option<Map<String, Value>>, VaultError> {
        self.read(path.as_str()).await
    }

    /// An identity.
    ///
    /// # Errors
    /// As [`Reviewer::policy`].
    pub async fn entity(&self, id: &str) -> Result<Option<EntityFacts>, VaultError> {
        self.read(&format!("identity/entity/id/{id}")).await
    }

    /// A group of identities.
    ///
    /// # Errors
    /// As [`Reviewer::policy`].
    pub async fn group(&self, id: &str) -> Result<Option<GroupFacts>, VaultError> {
        self.read(&format!("identity/group/id/{id}")).await
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, VaultError> {
        let call = Call::read(Operation::Review, path)?;
        self.ask(&call).await
    }

    async fn ask<T: DeserializeOwned>(&self, call: &Call) -> Result<Option<T>, VaultError> {
        let shared = self.shared;
        let limit = shared.config.timeout;
        let reply = shared.client.send_within(call, &self.token, limit).await?;
        if reply.status() == 404 {
            return match reply.is_vaults_refusal() {
                true => Ok(None),
                false => Err(reply.not_vaults()),
            };
        }
        let (data, _) = reply.success()?.data::<T>()?;
        Ok(Some(data))
    }
}

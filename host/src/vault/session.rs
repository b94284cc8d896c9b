//! The process's log-in and the attempts' authorities.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::path::{KvPath, TransitKey};
use super::{VaultConfig, VaultError};
use crate::name::TaskName;
use crate::scrub::SecretSet;
use crate::secret::Secret;

/// Vault as this process uses it: one log-in, made when first needed.
#[derive(Clone)]
pub struct Vault(Arc<()>);

/// What an attempt's authority is minted for.
#[derive(Debug, Clone)]
pub struct AttemptAuthority {
    /// Our id of the run (UUID), the journal's file name.
    pub run: String,
    /// The task; the policy is `cofferdam-task-<task>`.
    pub task: TaskName,
    /// The attempt's time limit; the token's `explicit_max_ttl` is this plus a margin.
    pub deadline: Duration,
    /// Token metadata, in clear in Vault's audit.
    pub meta: BTreeMap<String, String>,
}

/// The owner of one attempt's authority. Closing it is the only way out.
pub struct Session(SessionHandle);

/// What a capability may do with the attempt's authority. Clones share it; it
/// is dead once the [`Session`] is closed.
#[derive(Clone)]
pub struct SessionHandle(Arc<()>);

/// A value from Vault with the id under which Vault audited the request.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// The value.
    pub value: T,
    /// Vault's `request_id`.
    pub request_id: Option<String>,
}

/// The fields of one KV secret.
#[derive(Debug, Clone, Default)]
pub struct KvData {
    /// Text fields as they are; other JSON values in their JSON form.
    pub fields: BTreeMap<String, Secret>,
    /// The version that was read (KV 2).
    pub version: Option<u64>,
}

/// What became of an attempt's authority.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// Everything is revoked.
    pub complete: bool,
    /// A fixed word for the reason when not: `unreachable`, `sealed`, `refused`, …
    pub reason: Option<&'static str>,
    /// Vault's request id of the revocation.
    pub request_id: Option<String>,
}

impl Vault {
    /// Prepares without contacting Vault.
    pub fn new(_config: VaultConfig, _state: &std::path::Path) -> Result<Self, VaultError> {
        Ok(Self(Arc::new(())))
    }

    /// Mints the authority of one attempt; logs in first when this is the first.
    pub async fn open(
        &self,
        _attempt: AttemptAuthority,
        _secrets: &SecretSet,
    ) -> Result<Session, VaultError> {
        Err(VaultError::Closed)
    }

    /// Ends the log-in of this process; `None` when there was none to end.
    pub async fn close(self) -> Option<Revocation> {
        None
    }
}

impl Session {
    /// A handle for the capabilities.
    pub fn handle(&self) -> SessionHandle {
        self.0.clone()
    }

    /// Vault's request id of the mint.
    pub fn mint_request_id(&self) -> Option<&str> {
        None
    }

    /// The `explicit_max_ttl` that Vault confirmed.
    pub fn explicit_max_ttl(&self) -> Duration {
        Duration::ZERO
    }

    /// Revokes the authority. Bounded in time; never fails silently.
    pub async fn close(self) -> Revocation {
        Revocation {
            complete: true,
            reason: None,
            request_id: None,
        }
    }
}

impl SessionHandle {
    /// Reads a KV secret.
    pub async fn kv(&self, _path: &KvPath) -> Result<Answer<KvData>, VaultError> {
        Err(VaultError::Closed)
    }

    /// Signs; the signature in Vault's form.
    pub async fn transit_sign(
        &self,
        _key: &TransitKey,
        _message: &[u8],
    ) -> Result<Answer<String>, VaultError> {
        Err(VaultError::Closed)
    }

    /// Verifies a signature in Vault's form.
    pub async fn transit_verify(
        &self,
        _key: &TransitKey,
        _message: &[u8],
        _signature: &str,
    ) -> Result<Answer<bool>, VaultError> {
        Err(VaultError::Closed)
    }

    /// A keyed digest in Vault's form.
    pub async fn transit_hmac(
        &self,
        _key: &TransitKey,
        _message: &[u8],
    ) -> Result<Answer<String>, VaultError> {
        Err(VaultError::Closed)
    }

    /// Encrypts; the ciphertext in Vault's form.
    pub async fn transit_encrypt(
        &self,
        _key: &TransitKey,
        _plaintext: &[u8],
    ) -> Result<Answer<String>, VaultError> {
        Err(VaultError::Closed)
    }

    /// Decrypts.
    pub async fn transit_decrypt(
        &self,
        _key: &TransitKey,
        _ciphertext: &str,
    ) -> Result<Answer<Secret>, VaultError> {
        Err(VaultError::Closed)
    }
}

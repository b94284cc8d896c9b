//! An answer of Vault.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::vault::VaultError;
use crate::vault::error::Operation;
use crate::vault::seconds;

/// Status and body of an answer. The body is zeroized when dropped.
pub(in crate::vault) struct Reply {
    pub(super) operation: Operation,
    pub(super) address: String,
    pub(super) path: String,
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// What Vault puts around every answer. Further fields are ignored: servers add some.
#[derive(Deserialize)]
pub(in crate::vault) struct Envelope<T> {
    request_id: Option<String>,
    /// Empty for what has no lease.
    #[serde(default)]
    pub(in crate::vault) lease_id: Option<String>,
    /// Seconds.
    #[serde(default, deserialize_with = "seconds::life")]
    pub(in crate::vault) lease_duration: u64,
    #[serde(default)]
    pub(in crate::vault) renewable: bool,
    pub(in crate::vault) data: Option<T>,
    pub(in crate::vault) auth: Option<AuthAnswer>,
    pub(in crate::vault) warnings: Option<Vec<String>>,
}

/// The `auth` part: a token that was made for us.
#[derive(Deserialize)]
pub(in crate::vault) struct AuthAnswer {
    pub(in crate::vault) client_token: Secret,
    /// Empty for a batch token.
    #[serde(default)]
    pub(in crate::vault) accessor: String,
    #[serde(default)]
    pub(in crate::vault) policies: Option<Vec<String>>,
    #[serde(default)]
    pub(in crate::vault) token_policies: Option<Vec<String>>,
    #[serde(default)]
    pub(in crate::vault) identity_policies: Option<Vec<String>>,
    /// Empty for a token without one.
    #[serde(default)]
    pub(in crate::vault) entity_id: String,
    /// Seconds; 0 is for ever.
    #[serde(deserialize_with = "seconds::life")]
    pub(in crate::vault) lease_duration: u64,
    pub(in crate::vault) renewable: bool,
    #[serde(default)]
    pub(in crate::vault) token_type: String,
    #[serde(default)]
    pub(in crate::vault) orphan: bool,
    #[serde(default)]
    pub(in crate::vault) num_uses: u64,
}

/// What every answer with a body begins with.
#[derive(Deserialize)]
struct Id {
    request_id: Option<String>,
}

/// The body of a refusal. Its texts are compared with fixed ones, never shown.
#[derive(Deserialize)]
struct Refusal {
    errors: Vec<String>,
}

impl<T> Envelope<T> {
    /// Vault's id of the request, as it stands in Vault's own audit.
    pub(in crate::vault) fn request_id(&self) -> Option<String> {
        self.request_id.clone().filter(|id| is_an_id(id))
    }
}

impl AuthAnswer {
    /// The id of the entity that the token belongs to.
    pub(in crate::vault) fn entity(&self) -> Option<String> {
        Some(self.entity_id.clone()).filter(|id| is_an_id(id))
    }
}

/// Shown to people and written to our audit, so not taken on trust.
fn is_an_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

impl Reply {
    /// The HTTP status.
    pub(in crate::vault) fn status(&self) -> u16 {
        self.status
    }

    /// Vault's id of the request, when the answer tells it.
    pub(super) fn request_id(&self) -> Option<String> {
        let id = serde_json::from_slice::<Id>(&self.body).ok()?.request_id?;
        is_an_id(&id).then_some(id)
    }

    /// Whether the body is a refusal that says this. Only for texts that the
    /// servers' sources fix.
    pub(in crate::vault) fn says(&self, fixed: &str) -> bool {
        serde_json::from_slice::<Refusal>(&self.body)
            .is_ok_and(|refusal| refusal.errors.iter().any(|text| text.contains(fixed)))
    }

    /// Whether Vault itself refuses, or says that there is nothing: its answers
    /// have a list of errors, if an empty one. Somebody before Vault may answer
    /// with the same status.
    pub(in crate::vault) fn is_vaults_refusal(&self) -> bool {
        serde_json::from_slice::<Refusal>(&self.body).is_ok()
    }

    /// What is told of an answer that is not Vault's.
    pub(in crate::vault) fn not_vaults(&self) -> VaultError {
        VaultError::NotVault {
            operation: self.operation,
            status: self.status,
        }
    }

    /// The answer to a revocation when it is Vault's own word that the thing is
    /// dead; gives Vault's request id if there is one. OpenBao and Vault answer
    /// 204, or 200 with an answer of theirs, which has a request id. Anything
    /// else that claims success is something that stands before Vault.
    pub(in crate::vault) fn confirmed(self) -> Result<Option<String>, VaultError> {
        let not_vault = self.not_vaults();
        match self.status {
            204 => Ok(None),
            200 => match self.envelope::<IgnoredAny>().map(|all| all.request_id()) {
                Ok(Some(request_id)) => Ok(Some(request_id)),
                _ => Err(not_vault),
            },
            // Vault has this endpoint, and what it says of a thing that it
            // does not know was recognised by its text.
            201..=299 | 404 => Err(not_vault),
            _ => Err(self.success().err().unwrap_or(not_vault)),
        }
    }

    /// Whether another try at the same node may succeed, and how long Vault
    /// asks to wait.
    pub(super) fn again(&self) -> Option<Option<Duration>> {
        match self.status {
            // Sealed too: after a restart it is so for a moment, until its
            // seal is opened by itself.
            412 | 429 | 500 | 502 | 503 | 504 => Some(self.retry_after),
            _ => None,
        }
    }

    /// Whether a rate limit turned the request away before anything was done.
    /// A full quota of leases says 429 too, and waiting does not help there.
    pub(super) fn is_turned_away(&self) -> bool {
        self.status == 429 && !self.says("lease count quota")
    }

    /// Whether this node certainly did nothing with the request, and another
    /// one may: it is a secondary, sealed or not initialised.
    pub(super) fn elsewhere(&self) -> bool {
        match self.status {
            472 | 473 | 501 => true,
            503 => self.says("sealed") || self.says("not initialized"),
            _ => false,
        }
    }

    /// Whether this node, or something before it, cannot serve for now.
    pub(super) fn cannot_serve(&self) -> bool {
        matches!(self.status, 502..=504)
    }

    /// The answer when it is a success.
    pub(in crate::vault) fn success(self) -> Result<Self, VaultError> {
        let (operation, status) = (self.operation, self.status);
        Err(match status {
            200..=299 => return Ok(self),
            300..=399 => VaultError::Protocol {
                operation,
                fault: "it redirects, and a token must not follow",
            },
            400 | 405 | 413 => VaultError::Invalid {
                operation,
                path: self.path,
            },
            403 => VaultError::Refused {
                operation,
                path: self.path,
            },
            404 => VaultError::NotFound { path: self.path },
            501 => VaultError::NotInitialised {
                address: self.address,
            },
            503 if self.says("not initialized") => VaultError::NotInitialised {
                address: self.address,
            },
            503 if self.says("sealed") => VaultError::Sealed {
                address: self.address,
            },
            412 | 429 | 472 | 473 | 500..=599 => VaultError::Overloaded {
                operation,
                status,
                retry_after: self.retry_after,
            },
            _ => VaultError::Protocol {
                operation,
                fault: "an unknown status",
            },
        })
    }

    /// The envelope; an empty one for 204.
    pub(in crate::vault) fn envelope<T: DeserializeOwned>(
        &self,
    ) -> Result<Envelope<T>, VaultError> {
        if self.body.is_empty() {
            return Ok(Envelope {
                request_id: None,
                lease_id: None,
                lease_duration: 0,
                renewable: false,
                data: None,
                auth: None,
                warnings: None,
            });
        }
        // serde_json's error may quote the body: it is dropped.
        serde_json::from_slice(&self.body).map_err(|_| VaultError::Protocol {
            operation: self.operation,
            fault: "it is not the JSON that was expected",
        })
    }

    /// The `data` part and the request id.
    pub(in crate::vault) fn data<T: DeserializeOwned>(
        &self,
    ) -> Result<(T, Option<String>), VaultError> {
        let envelope = self.envelope::<T>()?;
        let request_id = envelope.request_id();
        match envelope.data {
            Some(data) => Ok((data, request_id)),
            None => Err(VaultError::Protocol {
                operation: self.operation,
                fault: "it holds no data",
            }),
        }
    }
}

//! The `[reveal.NAME]` table.

use std::time::Duration;

use serde::Deserialize;

use crate::capability::credential::{CredentialSource, RawCredential};
use crate::capability::field::FieldError;
use crate::vault::path::KvPath;
use crate::vault::policy::{PolicyCapability, PolicyRules};

/// One secret that a task may read in plaintext.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawRevealGrant")]
pub struct RevealGrant {
    /// The secret.
    pub kv: KvPath,
    /// How long attempts may share it.
    pub cache_ttl: Duration,
    /// The field of it.
    pub field: String,
    /// Why nothing else serves; required, for the reviewer and the audit.
    pub reason: String,
}

/// The table as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRevealGrant {
    credential: RawCredential,
    reason: String,
}

impl TryFrom<RawRevealGrant> for RevealGrant {
    type Error = FieldError;

    fn try_from(raw: RawRevealGrant) -> Result<Self, FieldError> {
        let source = CredentialSource::try_from(raw.credential)?;
        let Some(field) = source.field else {
            return Err(FieldError::new(
                "credential.field",
                "is missing; name the one field that the task may read",
            ));
        };
        let reason = raw.reason.trim();
        if reason.is_empty() || reason.len() > 500 || reason.chars().any(char::is_control) {
            return Err(FieldError::new(
                "reason",
                "must say in up to 500 characters, on one line, why no other capability serves",
            ));
        }
        Ok(Self {
            kv: source.kv,
            cache_ttl: source.cache_ttl,
            field,
            reason: reason.to_owned(),
        })
    }
}

impl RevealGrant {
    /// What the grant needs in Vault.
    pub fn policy(&self, rules: &mut PolicyRules) {
        rules.allow(self.kv.api_path(), PolicyCapability::Read);
    }
}

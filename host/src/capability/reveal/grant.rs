//! The `[reveal.NAME]` table.

use serde::Deserialize;

use crate::capability::credential::{CredentialSource, GrantedCredential, RawCredential};
use crate::capability::field::FieldError;
use crate::vault::policy::PolicyRules;

/// One secret that a task may read in plaintext.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawRevealGrant")]
pub struct RevealGrant {
    /// Where the secret comes from.
    pub source: CredentialSource,
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
        let GrantedCredential { source, field } = raw.credential.try_into()?;
        let Some(field) = field else {
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
            source,
            field,
            reason: reason.to_owned(),
        })
    }
}

impl RevealGrant {
    /// What the grant needs in Vault.
    pub fn policy(&self, rules: &mut PolicyRules) {
        self.source.policy(rules);
    }
}

//! The `[reveal.NAME]` table.

use crate::vault::path::KvPath;
use crate::vault::policy::{PolicyCapability, PolicyRules};

/// One secret that a task may read in plaintext.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(try_from = "Raw")]
pub struct RevealGrant {
    /// The secret.
    pub kv: KvPath,
    /// The field of it.
    pub field: String,
    /// Why nothing else serves; required, for the reviewer and the audit.
    pub reason: String,
}

impl RevealGrant {
    /// What the grant needs in Vault.
    pub fn policy(&self, rules: &mut PolicyRules) {
        rules.allow(self.kv.api_path(), PolicyCapability::Read);
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    credential: crate::capability::http::RawCredential,
    reason: String,
}

impl TryFrom<Raw> for RevealGrant {
    type Error = &'static str;

    fn try_from(raw: Raw) -> Result<Self, Self::Error> {
        let (kv, field) = raw.credential.take()?;
        Ok(Self {
            kv,
            field: field.ok_or("`credential` needs a `field`")?,
            reason: raw.reason,
        })
    }
}

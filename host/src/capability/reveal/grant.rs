//! The `[reveal.NAME]` table.

use crate::vault::path::KvPath;
use crate::vault::policy::{PolicyCapability, PolicyRules};

/// One secret that a task may read in plaintext.
#[derive(Debug, Clone)]
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

//! The `[keys.NAME]` table.

use std::collections::BTreeSet;

use crate::vault::path::TransitKey;
use crate::vault::policy::{PolicyCapability, PolicyRules};

/// One key that a task may use.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysGrant {
    /// The key.
    pub transit: TransitKey,
    /// What may be done with it.
    pub allow: BTreeSet<KeyOperation>,
}

/// An operation of the transit engine.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Deserialize,
    serde::Serialize,
    strum::Display,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum KeyOperation {
    /// `transit/sign/KEY`.
    Sign,
    /// `transit/verify/KEY`.
    Verify,
    /// `transit/hmac/KEY`.
    Hmac,
    /// `transit/encrypt/KEY`.
    Encrypt,
    /// `transit/decrypt/KEY`.
    Decrypt,
}

impl KeysGrant {
    /// What the grant needs in Vault.
    pub fn policy(&self, rules: &mut PolicyRules) {
        for operation in &self.allow {
            let path = format!("{}/{operation}/{}", self.transit.mount, self.transit.key);
            rules.allow(path, PolicyCapability::Update);
        }
    }
}

//! The `[keys.NAME]` table.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::capability::field::FieldError;
use crate::vault::path::TransitKey;
use crate::vault::policy::{PolicyCapability, PolicyRules};

/// One key that a task may use.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawKeysGrant")]
pub struct KeysGrant {
    /// The key.
    pub transit: TransitKey,
    /// What may be done with it.
    pub allow: BTreeSet<KeyOperation>,
}

/// The table as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKeysGrant {
    transit: TransitKey,
    allow: Vec<KeyOperation>,
}

impl TryFrom<RawKeysGrant> for KeysGrant {
    type Error = FieldError;

    fn try_from(raw: RawKeysGrant) -> Result<Self, FieldError> {
        let allow: BTreeSet<_> = raw.allow.iter().copied().collect();
        if allow.is_empty() {
            return Err(FieldError::new(
                "allow",
                "is empty; name at least one of `sign`, `verify`, `hmac`, `encrypt`, `decrypt`",
            ));
        }
        if allow.len() != raw.allow.len() {
            return Err(FieldError::new("allow", "names an operation twice"));
        }
        Ok(Self {
            transit: raw.transit,
            allow,
        })
    }
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
    strum::IntoStaticStr,
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

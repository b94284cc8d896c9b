//! What a policy allows, apart from how it is written.

use std::collections::{BTreeMap, BTreeSet};

/// A capability in a policy rule.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::EnumString,
)]
#[strum(serialize_all = "snake_case")]
pub enum PolicyCapability {
    /// GET.
    Read,
    /// POST or PUT on what exists.
    Update,
}

/// What a policy allows, by API path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyRules(pub BTreeMap<String, BTreeSet<PolicyCapability>>);

impl PolicyRules {
    /// Allows one capability on one path.
    pub fn allow(&mut self, api_path: impl Into<String>, capability: PolicyCapability) {
        self.0
            .entry(api_path.into())
            .or_default()
            .insert(capability);
    }
}

//! Where a credential comes from.

use std::time::Duration;

use crate::vault::path::{KvPath, LeasedPath, StaticRole};
use crate::vault::policy::{PolicyCapability, PolicyRules};

/// Where a credential comes from. One attempt has one credential of each
/// source, whatever the number of grants that use it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CredentialSource {
    /// A secret of a KV engine.
    Kv {
        /// Where it lies.
        path: KvPath,
        /// How long attempts may share what one of them read; 0 for not at all.
        cache_ttl: Duration,
    },
    /// A new credential for the attempt, with a lease.
    Dynamic {
        /// What makes it.
        path: LeasedPath,
        /// What happens when its lease cannot be kept.
        refresh: Refresh,
    },
    /// A user of a database who exists and whose password Vault rotates.
    Static(StaticRole),
}

/// What happens when a lease can be renewed no more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refresh {
    /// Calls that need it are refused as `expired` once it has ended.
    #[default]
    Fail,
    /// A new credential is asked for at the next use.
    Refetch,
}

impl CredentialSource {
    /// The path as Vault's API and a policy name it.
    pub fn api_path(&self) -> String {
        match self {
            Self::Kv { path, .. } => path.api_path(),
            Self::Dynamic { path, .. } => path.api_path(),
            Self::Static(role) => role.api_path(),
        }
    }

    /// What happens when its lease cannot be kept.
    pub(super) fn refresh(&self) -> Refresh {
        match self {
            Self::Dynamic { refresh, .. } => *refresh,
            Self::Kv { .. } | Self::Static(_) => Refresh::Fail,
        }
    }

    /// Whether each question makes a new one.
    pub(super) fn is_leased(&self) -> bool {
        matches!(self, Self::Dynamic { .. })
    }

    /// Whether another read may give another credential.
    pub(super) fn may_change(&self) -> bool {
        match self {
            Self::Kv { path, .. } => !matches!(
                path,
                KvPath::V2 {
                    version: Some(_),
                    ..
                }
            ),
            Self::Dynamic { .. } | Self::Static(_) => true,
        }
    }

    /// What it needs in Vault.
    pub fn policy(&self, rules: &mut PolicyRules) {
        rules.allow(self.api_path(), PolicyCapability::Read);
    }
}

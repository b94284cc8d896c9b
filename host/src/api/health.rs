//! How the service does.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The process answers.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always true: a service that is not live does not answer.
    pub live: bool,
}

/// Whether the service takes runs.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether it does.
    pub ready: bool,
    /// What it depends on.
    pub checks: Vec<Check>,
}

/// One thing that the service depends on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// `audit`, `store`, `journal`, `vault`, `drain`.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What is wrong, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How the nodes of Vault do.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VaultHealth {
    /// Whether one of them serves; true as well when no Vault is configured.
    pub ok: bool,
    /// Seconds since they were asked; the service asks every ten seconds.
    pub age_seconds: u64,
    /// The nodes in the order of the configuration.
    pub nodes: Vec<VaultNode>,
}

/// One node of Vault.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VaultNode {
    /// Its configured address.
    pub address: String,
    /// Whether it serves.
    pub serves: bool,
    /// How it does, in words.
    pub health: String,
    /// Its version, when it tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Which service this is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// Always `cofferdam`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of this API.
    pub api: String,
}

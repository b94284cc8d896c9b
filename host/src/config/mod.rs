//! `cofferdam.toml`: the operator's file.

use std::path::PathBuf;

use crate::vault::VaultConfig;

/// The operator's configuration, with every path absolute.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// The folder of the file; grants name components relative to it.
    pub root: PathBuf,
    /// Where grants files lie. Default `grants`.
    pub grants: PathBuf,
    /// The journal's folder. Default `state`.
    pub state: PathBuf,
    /// The audit's folder. Default `audit`.
    pub audit: PathBuf,
    /// The compiled-code cache. Default `cache`.
    pub cache: PathBuf,
    /// `[vault]`; none when no task needs it.
    pub vault: Option<VaultConfig>,
    /// `[engine]`.
    pub engine: crate::engine::EngineConfig,
}

/// e
#[derive(Debug, thiserror::Error)]
#[error("e")]
pub struct ConfigError;

impl crate::diagnostic::Diagnostic for ConfigError {
    fn exit(&self) -> crate::diagnostic::Exit {
        crate::diagnostic::Exit::Usage
    }
    fn blame(&self) -> crate::diagnostic::Blame {
        crate::diagnostic::Blame::Operator
    }
}

impl HostConfig {
    /// l
    pub fn load(_p: &std::path::Path) -> Result<Self, ConfigError> {
        Err(ConfigError)
    }
}

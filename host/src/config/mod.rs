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
}

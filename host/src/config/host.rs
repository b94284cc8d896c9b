//! The whole of `cofferdam.toml`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::guarded::{self, FileError};
use super::strict::DocumentError;
use super::{ConfigError, EngineConfig, ServerConfig, TelemetryConfig, strict};
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
    pub engine: EngineConfig,
    /// `[server]`.
    pub server: ServerConfig,
    /// `[telemetry]`; none when no traces are sent.
    pub telemetry: Option<TelemetryConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    paths: Paths,
    vault: Option<VaultConfig>,
    #[serde(default)]
    engine: EngineConfig,
    #[serde(default)]
    server: ServerConfig,
    telemetry: Option<TelemetryConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Paths {
    grants: Folder,
    state: Folder,
    audit: Folder,
    cache: Folder,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Folder(PathBuf);

impl HostConfig {
    /// Reads the file. Only the process's user and root may be able to write
    /// it and its folder.
    ///
    /// # Errors
    /// [`ConfigError`] names file, line, field and cure.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = guarded::read(path).map_err(|error| missing(path, error))?;
        let absolute = std::path::absolute(path).map_err(|source| FileError::Io {
            path: path.to_owned(),
            source,
        })?;
        let root = absolute.parent().unwrap_or(Path::new("/"));
        Self::parse(&text, path, root)
    }

    /// Whether both use the same folders.
    pub fn same_paths(&self, other: &Self) -> bool {
        let paths = |config: &Self| {
            let HostConfig {
                root,
                grants,
                state,
                audit,
                cache,
                ..
            } = config.clone();
            [root, grants, state, audit, cache]
        };
        paths(self) == paths(other)
    }

    /// Parses the text; `root` is the absolute folder that paths are relative to.
    ///
    /// # Errors
    /// [`ConfigError::Document`].
    pub fn parse(text: &str, file: &Path, root: &Path) -> Result<Self, ConfigError> {
        let document: Document = strict::parse(text, file, |_| None)?;
        let mut server = document.server;
        if let Some((at, field, missing)) = server.unproven() {
            return Err(DocumentError::at(
                text,
                file,
                strict::span_of(text, &["server", "allow"]),
                Some(format!("server.allow[{at}].{field}")),
                &format!(
                    "it names callers whom nobody can tell\nset {missing}, or leave `{field}` out"
                ),
            )
            .into());
        }
        server.resolve(root);
        let mut vault = document.vault;
        if let Some(vault) = &mut vault {
            vault.resolve(root);
        }
        Ok(Self {
            root: root.to_owned(),
            grants: root.join(document.paths.grants.0),
            state: root.join(document.paths.state.0),
            audit: root.join(document.paths.audit.0),
            cache: root.join(document.paths.cache.0),
            vault,
            engine: document.engine,
            server,
            telemetry: document.telemetry,
        })
    }
}

fn missing(path: &Path, error: FileError) -> ConfigError {
    match error {
        FileError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            ConfigError::Missing {
                path: path.to_owned(),
            }
        }
        error => error.into(),
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            grants: Folder("grants".into()),
            state: Folder("state".into()),
            audit: Folder("audit".into()),
            cache: Folder("cache".into()),
        }
    }
}

impl TryFrom<String> for Folder {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(
                "not the name of a folder\nwrite a path, absolute or relative to this file",
            );
        }
        Ok(Self(text.into()))
    }
}

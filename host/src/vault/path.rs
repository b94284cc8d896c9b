//! Paths in Vault, valid by construction: what was checked is what is sent.
//!
//! `.`, `..`, empty and encoded segments are refused, never normalised
//! (CVE-2026-3605), and so is everything that has a meaning in a policy.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A path of one or more segments of `[A-Za-z0-9._-]`, without leading or
/// trailing slash. Mounts, secrets, keys and roles are all named by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct VaultPath(String);

/// A text that cannot be a [`VaultPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not acceptable as a Vault path: {rule}")]
pub struct InvalidVaultPath {
    shown: String,
    rule: &'static str,
}

impl VaultPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VaultPath {
    type Err = InvalidVaultPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rule = if text.is_empty() || text.len() > 512 {
            "1 to 512 characters"
        } else if !text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'))
        {
            "only letters, digits and `. _ - /` are allowed"
        } else if text
            .split('/')
            .any(|segment| matches!(segment, "" | "." | ".."))
        {
            "empty, `.` and `..` segments are not allowed"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(InvalidVaultPath {
            shown: text.chars().take(80).flat_map(char::escape_debug).collect(),
            rule,
        })
    }
}

impl TryFrom<String> for VaultPath {
    type Error = InvalidVaultPath;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for VaultPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One secret in a KV engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KvPath {
    /// KV version 1.
    V1 {
        /// Where the engine is mounted.
        mount: VaultPath,
        /// The secret's path below the mount.
        path: VaultPath,
    },
    /// KV version 2.
    V2 {
        /// Where the engine is mounted.
        mount: VaultPath,
        /// The secret's path below the mount, without `data/`.
        path: VaultPath,
        /// A fixed version; the newest when `None`.
        version: Option<u64>,
    },
}

impl KvPath {
    /// The path as Vault's API and a policy name it.
    pub fn api_path(&self) -> String {
        match self {
            Self::V1 { mount, path } => format!("{mount}/{path}"),
            Self::V2 { mount, path, .. } => format!("{mount}/data/{path}"),
        }
    }
}

/// What makes a new credential with a lease at each read: `creds/ROLE` of a
/// database engine and the like.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeasedPath {
    /// Where the engine is mounted.
    pub mount: VaultPath,
    /// The path below the mount, such as `creds/reader`.
    pub path: VaultPath,
}

impl LeasedPath {
    /// The path as Vault's API and a policy name it.
    pub fn api_path(&self) -> String {
        format!("{}/{}", self.mount, self.path)
    }
}

/// A static role of a database engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StaticRole {
    /// Where the engine is mounted.
    pub mount: VaultPath,
    /// The role.
    pub role: VaultName,
}

impl StaticRole {
    /// The path as Vault's API and a policy name it.
    pub fn api_path(&self) -> String {
        format!("{}/static-creds/{}", self.mount, self.role)
    }
}

/// A path of exactly one segment: the name of a key or a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct VaultName(String);

impl VaultName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VaultName {
    type Err = InvalidVaultPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let VaultPath(name) = text.parse()?;
        if name.contains('/') {
            return Err(InvalidVaultPath {
                shown: name,
                rule: "a name has one segment, without `/`",
            });
        }
        Ok(Self(name))
    }
}

impl TryFrom<String> for VaultName {
    type Error = InvalidVaultPath;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for VaultName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One key in a transit engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransitKey {
    /// Where the engine is mounted.
    pub mount: VaultPath,
    /// The key's name.
    pub key: VaultName,
}

//! `[vault.auth.approle]`.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use super::mount;
use crate::vault::path::VaultPath;

/// `[vault.auth.approle]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRoleConfig {
    /// Where the method is mounted, below `auth/`. Default `approle`.
    pub mount: VaultPath,
    /// Which role. Not a secret, but only half of a log-in.
    pub role_id: RoleId,
    /// The file that holds the secret-id, or the wrapping token of one.
    pub secret_id_file: PathBuf,
    /// True when the file holds a response-wrapping token. Such a file serves
    /// one process.
    pub wrapped: bool,
    /// Which request may have made the wrapped answer.
    pub creation_path: CreationPath,
}

/// Where the role-id stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleId {
    /// In `cofferdam.toml`.
    Inline(String),
    /// In a file of its own.
    File(PathBuf),
}

/// The `creation_path` that a wrapped secret-id must show. Another one means
/// that somebody unwrapped the real answer and wrapped an own one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreationPath {
    /// `auth/<mount>/role/<any one name>/secret-id`.
    AnyRoleOf(VaultPath),
    /// Exactly this path.
    Exactly(VaultPath),
}

impl CreationPath {
    /// Whether the server's `creation_path` is as expected.
    pub fn matches(&self, found: &str) -> bool {
        match self {
            Self::Exactly(path) => path.as_str() == found,
            Self::AnyRoleOf(mount) => found
                .strip_prefix(&format!("auth/{mount}/role/"))
                .and_then(|rest| rest.strip_suffix("/secret-id"))
                .is_some_and(|name| !name.is_empty() && !name.contains('/')),
        }
    }
}

impl fmt::Display for CreationPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(path) => path.fmt(f),
            Self::AnyRoleOf(mount) => write!(f, "auth/{mount}/role/NAME/secret-id"),
        }
    }
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAppRole {
    mount: Option<VaultPath>,
    role_id: Option<String>,
    role_id_file: Option<PathBuf>,
    secret_id_file: PathBuf,
    #[serde(default)]
    wrapped: bool,
    creation_path: Option<VaultPath>,
}

impl RawAppRole {
    pub(super) fn parse(self) -> Result<AppRoleConfig, &'static str> {
        let role_id = match (self.role_id, self.role_id_file) {
            (Some(id), None) if id.is_empty() || id.chars().any(char::is_control) => {
                return Err("`role_id` is empty or holds a control character");
            }
            (Some(id), None) => RoleId::Inline(id),
            (None, Some(file)) => RoleId::File(file),
            _ => return Err("exactly one of `role_id` and `role_id_file` is needed"),
        };
        if self.creation_path.is_some() && !self.wrapped {
            return Err("`creation_path` is only for `wrapped = true`");
        }
        let mount = mount(self.mount, "approle")?;
        Ok(AppRoleConfig {
            role_id,
            secret_id_file: self.secret_id_file,
            wrapped: self.wrapped,
            creation_path: match self.creation_path {
                Some(path) => CreationPath::Exactly(path),
                None => CreationPath::AnyRoleOf(mount.clone()),
            },
            mount,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_creation_path_is_matched_segment_by_segment() {
        let any = CreationPath::AnyRoleOf("approle".parse().expect("path"));
        assert!(any.matches("auth/approle/role/host/secret-id"));
        for bad in [
            "auth/approle/role/host/custom-secret-id",
            "auth/approle/role/a/b/secret-id",
            "auth/approle/role//secret-id",
            "auth/other/role/host/secret-id",
            "sys/wrapping/wrap",
            "",
        ] {
            assert!(!any.matches(bad), "{bad}");
        }
        let exact = CreationPath::Exactly("auth/x/role/host/secret-id".parse().expect("path"));
        assert!(exact.matches("auth/x/role/host/secret-id"));
        assert!(!exact.matches("auth/x/role/other/secret-id"));
    }
}

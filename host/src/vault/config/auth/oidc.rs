//! Log-ins of people, in a browser.

use std::path::PathBuf;

use serde::Deserialize;

use super::mount;
use crate::vault::path::{VaultName, VaultPath};

/// `[vault.auth.oidc]`: `cofferdam login` takes a person through the browser
/// and writes the token to a file, and the host reads it from there as from a
/// token file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcConfig {
    /// Where the method is mounted, below `auth/`. Default `oidc`.
    pub mount: VaultPath,
    /// The role; without it the mount's `default_role`.
    pub role: Option<VaultName>,
    /// The port of this machine that the browser comes back to. Default 8250.
    pub port: CallbackPort,
    /// The file that the token is written to.
    pub token_file: PathBuf,
}

impl OidcConfig {
    /// The usual mount and port, with this file.
    ///
    /// # Errors
    /// None in practice: the default mount parses.
    pub fn with_file(token_file: PathBuf) -> Result<Self, &'static str> {
        Ok(Self {
            mount: mount(None, "oidc")?,
            role: None,
            port: CallbackPort::default(),
            token_file,
        })
    }
}

/// The port of the redirect URI, `http://localhost:PORT/oidc/callback`; the
/// role in Vault names each URI that it allows, so it cannot be any free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u16")]
pub struct CallbackPort(u16);

impl CallbackPort {
    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for CallbackPort {
    /// What Vault's own client uses, and so its documentation.
    fn default() -> Self {
        Self(8250)
    }
}

impl TryFrom<u16> for CallbackPort {
    type Error = &'static str;

    fn try_from(port: u16) -> Result<Self, Self::Error> {
        match port {
            0 => Err("`port` is 1 to 65535, one that the role's `allowed_redirect_uris` name"),
            port => Ok(Self(port)),
        }
    }
}

/// `[vault.auth.oidc]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOidc {
    mount: Option<VaultPath>,
    role: Option<VaultName>,
    #[serde(default)]
    port: CallbackPort,
    token_file: PathBuf,
}

impl RawOidc {
    pub(super) fn parse(self) -> Result<OidcConfig, &'static str> {
        Ok(OidcConfig {
            mount: mount(self.mount, "oidc")?,
            role: self.role,
            port: self.port,
            token_file: self.token_file,
        })
    }
}

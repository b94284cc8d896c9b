//! The `[vault]` table of `cofferdam.toml`: where the server is and how this
//! host logs in. A value of [`VaultConfig`] is checked as far as that needs no
//! file and no network.

mod address;
mod auth;
mod settings;

pub use address::{InvalidAddress, VaultAddress};
pub use auth::{AppRoleConfig, AuthConfig, CreationPath, RoleId, TokenFileConfig};
pub use settings::VaultConfig;

//! The `[vault]` table of `cofferdam.toml`: where the server is and how this
//! host logs in. A value of [`VaultConfig`] is checked as far as that needs no
//! file and no network.

mod address;
mod auth;
mod settings;

pub use address::{Addresses, InvalidAddress, VaultAddress};
pub use auth::{
    AppRoleConfig, AuthConfig, AzureMachine, CertConfig, CreationPath, CredentialFile,
    InvalidUserName, JwtConfig, JwtMethod, PasswordConfig, PasswordMethod, RoleId, TokenFileConfig,
    UserName,
};
pub use settings::{ClientCertificate, TlsServerName, VaultConfig};

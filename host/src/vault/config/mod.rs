//! The `[vault]` table of `cofferdam.toml`: where the server is and how this
//! host logs in. A value of [`VaultConfig`] is checked as far as that needs no
//! file and no network.

mod address;
mod auth;
mod identity;
mod settings;

pub use address::{Addresses, InvalidAddress, VaultAddress};
pub use auth::{
    AppRoleConfig, AuthConfig, AwsConfig, AwsRegion, AzureMachine, CallbackPort, CertConfig,
    CreationPath, CredentialFile, InvalidUserName, JwtConfig, JwtMethod, OidcConfig,
    PasswordConfig, PasswordMethod, RoleId, ServerIdHeader, StsEndpoint, TokenConfig,
    TokenFileConfig, UserName,
};
pub use identity::{IdentityConfig, IdentityText};
pub use settings::{ClientCertificate, TlsServerName, VaultConfig};

//! The log-in methods behind one type.

use super::approle::AppRole;
use super::lent::Lent;
use super::{Login, aws, cert, jwt, password};
use crate::vault::VaultError;
use crate::vault::client::Client;
use crate::vault::config::{AuthConfig, AwsConfig, JwtConfig, PasswordConfig, VaultConfig};

/// A log-in method with what it remembers between log-ins.
pub(in crate::vault) enum Method {
    /// `[vault.auth.approle]`.
    AppRole(AppRole),
    /// `[vault.auth.jwt]` and its relatives.
    Jwt(JwtConfig),
    /// `[vault.auth.userpass]` and its relatives.
    Password(PasswordConfig),
    /// `[vault.auth.cert]`.
    Cert(Box<cert::Cert>),
    /// `[vault.auth.aws]`.
    Aws(AwsConfig),
    /// `[vault.auth.token_file]`, `[vault.auth.oidc]` and `[vault.auth.token]`.
    Lent(Lent),
}

impl Method {
    /// The configured method; reads no file yet.
    pub(in crate::vault) fn new(config: &VaultConfig) -> Self {
        match &config.auth {
            AuthConfig::AppRole(approle) => Self::AppRole(AppRole::new(approle.clone())),
            AuthConfig::Jwt(config) => Self::Jwt(config.clone()),
            AuthConfig::Password(config) => Self::Password(config.clone()),
            AuthConfig::Cert(cert) => {
                Self::Cert(Box::new(cert::Cert::new(cert.clone(), config.clone())))
            }
            AuthConfig::Aws(config) => Self::Aws(config.clone()),
            AuthConfig::TokenFile(file) => Self::Lent(Lent::File(file.path.clone())),
            AuthConfig::Oidc(oidc) => Self::Lent(Lent::LogIn(oidc.token_file.clone())),
            AuthConfig::Token(token) => Self::Lent(Lent::Variable(token.env.clone())),
        }
    }

    /// True when a log-in makes a token that this process has to end.
    pub(in crate::vault) fn makes_a_token(&self) -> bool {
        !matches!(self, Self::Lent(_))
    }

    /// Looks at a wrapped credential without opening it; nothing to do for any
    /// other.
    pub(in crate::vault) async fn look_at_wrapping(
        &self,
        client: &Client,
    ) -> Result<(), VaultError> {
        match self {
            Self::AppRole(method) => method.wrapping(client).await.map(drop),
            _ => Ok(()),
        }
    }

    /// Logs in. Never retried: an ambiguous failure may have made a token.
    pub(in crate::vault) async fn log_in(&mut self, client: &Client) -> Result<Login, VaultError> {
        match self {
            Self::AppRole(method) => method.log_in(client).await,
            Self::Jwt(config) => jwt::log_in(config, client).await,
            Self::Password(config) => password::log_in(config, client).await,
            Self::Cert(method) => method.log_in(client).await,
            Self::Aws(config) => aws::log_in(config, client).await,
            Self::Lent(lent) => lent.log_in(client).await,
        }
    }
}

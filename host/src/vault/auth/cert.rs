//! The client certificate of the connection.

use http::Method;
use serde::Serialize;

use super::Login;
use super::answer::Asked;
use crate::vault::VaultError;
use crate::vault::client::{Call, Client};
use crate::vault::config::{CertConfig, VaultConfig};
use crate::vault::error::Operation;

/// The body of `auth/:mount/login`.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

/// `[vault.auth.cert]`.
pub(in crate::vault) struct Cert {
    config: CertConfig,
    vault: VaultConfig,
}

impl Cert {
    pub(super) fn new(config: CertConfig, vault: VaultConfig) -> Self {
        Self { config, vault }
    }

    /// Logs in with what the TLS handshake shows. On a connection of its own:
    /// one that is kept for other requests may have shown a certificate that
    /// was replaced since.
    pub(super) async fn log_in(&self) -> Result<Login, VaultError> {
        let config = &self.config;
        let call = Call::with_body(
            Operation::LogIn,
            Method::POST,
            &format!("auth/{}/login", config.mount),
            &Body {
                name: config.name.as_ref().map(|name| name.as_str()),
            },
        )?;
        let asked = Asked {
            mount: &config.mount,
            cure: "no role accepts the certificate in `client_cert_file`, or it is expired",
            obtained_by: Vec::new(),
        };
        asked.send(&Client::new(&self.vault)?, &call).await
    }
}

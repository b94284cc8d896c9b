//! The client certificate of the connection.

use http::Method;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;

use super::Login;
use super::answer::Asked;
use crate::secret::{Privacy, read_whole};
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
    pub(super) async fn log_in(&self, client: &Client) -> Result<Login, VaultError> {
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
        let client = client.with_new_connections(&self.vault)?;
        let sent = asked.send(&client, &call).await;
        match sent {
            // OpenBao says so, and with no word more, of a certificate whose
            // time is over.
            Err(VaultError::Overloaded { status: 500, .. }) if self.is_over() => {
                Err(VaultError::LoginRefused {
                    mount: config.mount.to_string(),
                    cure: "the certificate in `client_cert_file` has expired, or is not valid yet; renew it",
                })
            }
            sent => sent,
        }
    }

    /// Whether the clock is outside the time for which the certificate was made.
    fn is_over(&self) -> bool {
        let Some(files) = &self.vault.client_certificate else {
            return false;
        };
        let Ok(pem) = read_whole(&files.certificate, Privacy::Public) else {
            return false;
        };
        let Some(Ok(first)) = CertificateDer::pem_slice_iter(pem.expose()).next() else {
            return false;
        };
        x509_parser::parse_x509_certificate(&first)
            .is_ok_and(|(_, certificate)| !certificate.validity().is_valid())
    }
}

//! Getting a key set: from its file, or from where its issuer publishes it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use super::KeySetError;
use super::keys::KeySet;
use crate::capability::network::{system_verifier, verifier_of};
use crate::certificates;
use crate::config::guarded;

/// Largest key set, in bytes, from either place.
const MAX_SET: usize = 256 << 10;

/// How long a fetch may take, from connecting to the last byte. Somebody may
/// wait for it whose token names a new key.
const LIMIT: Duration = Duration::from_secs(5);

/// A place that is asked again and again.
pub(super) struct Published {
    http: reqwest::Client,
    url: Url,
}

/// Reads a file.
pub(super) fn read(file: &Path) -> Result<KeySet, KeySetError> {
    // Who can write it can make tokens: held to the configuration's own rule.
    let text = guarded::read(file)?;
    KeySet::parse(text.as_bytes()).map_err(|fault| KeySetError::Content {
        place: file.display().to_string(),
        fault,
    })
}

impl Published {
    /// Prepares; connects to nobody.
    pub(super) async fn new(url: &Url, ca: Option<&Path>) -> Result<Self, KeySetError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(ca).await?)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .timeout(LIMIT)
            .build()
            .map_err(|_| KeySetError::Client("the HTTP client cannot be built"))?;
        Ok(Self {
            http,
            url: url.clone(),
        })
    }

    /// What is published now.
    pub(super) async fn fetch(&self) -> Result<KeySet, KeySetError> {
        // The client's own text holds more than the address.
        let failed = |fault| KeySetError::Fetch {
            url: self.url.to_string(),
            fault,
        };
        let broken = |error: reqwest::Error| match error.is_timeout() {
            true => failed("nothing comes in time"),
            false => failed("the connection fails, or its certificate is not trusted"),
        };
        let asked = self.http.get(self.url.clone());
        let asked = asked.header(
            http::header::ACCEPT,
            "application/jwk-set+json, application/json",
        );
        let mut answer = asked.send().await.map_err(broken)?;
        if answer.status() != http::StatusCode::OK {
            return Err(failed("the answer is not 200"));
        }
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            if text.len() + chunk.len() > MAX_SET {
                return Err(failed("the answer is larger than 256 KiB"));
            }
            text.extend_from_slice(&chunk);
        }
        KeySet::parse(&text).map_err(|fault| KeySetError::Content {
            place: self.url.to_string(),
            fault,
        })
    }
}

async fn tls(ca: Option<&Path>) -> Result<ClientConfig, KeySetError> {
    let verifier: Arc<dyn ServerCertVerifier> = match ca {
        Some(file) => verifier_of(roots(file)?).map_err(|_| KeySetError::Ca {
            path: file.to_owned(),
            fault: "cannot be used",
        })?,
        None => system_verifier()
            .await
            .map_err(|_| KeySetError::Client("the system's trusted certificates cannot be read"))?,
    };
    Ok(
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| KeySetError::Client("no TLS version is available"))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth(),
    )
}

fn roots(file: &Path) -> Result<RootCertStore, KeySetError> {
    let pem = guarded::read(file)?;
    certificates::roots(pem.as_bytes()).map_err(|fault| KeySetError::Ca {
        path: file.to_owned(),
        fault,
    })
}

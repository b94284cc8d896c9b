//! How a client trusts a service that it reaches over TCP, and says who it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use zeroize::Zeroizing;

use super::ClientError;
use crate::certificates;
use crate::secret::{Privacy, read_file, read_whole};

/// Whom a client trusts, and as whom it comes. The default trusts the system's
/// authorities and says nothing of itself, which no service is content with.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Those who vouch for the service's certificate, PEM; the system's when
    /// none.
    pub ca: Option<PathBuf>,
    /// The certificate to show.
    pub certificate: Option<Certificate>,
    /// A file with a token, in one line, that nobody else can read. Read anew
    /// for every call, so that whoever renews it need not tell us.
    pub token: Option<PathBuf>,
}

/// The files of a client's certificate.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate and those that vouch for it, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM; nobody else can read the file.
    pub key: PathBuf,
}

impl Access {
    /// The settings of every connection.
    pub(super) fn tls(&self) -> Result<ClientConfig, ClientError> {
        let provider = Arc::new(ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match &self.ca {
            Some(file) => {
                let roots = Arc::new(roots(file)?);
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                    .build()
                    .map_err(|_| file_error(file, "cannot be used"))?
            }
            None => Arc::new(
                rustls_platform_verifier::Verifier::new(Arc::clone(&provider)).map_err(|_| {
                    ClientError::Tls("the system's trusted certificates cannot be read")
                })?,
            ),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| ClientError::Tls("no TLS version is available"))?
            // The builder's word for any verifier that is handed in; both are
            // the ones that it would make itself.
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut settings = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let chain = chain(&files.certificate)?;
                let key = read_whole(&files.key, Privacy::Secret)?;
                let key = PrivateKeyDer::from_pem_slice(key.expose())
                    .map_err(|_| file_error(&files.key, "holds no key in PEM"))?;
                // The error of rustls may name the key's parts.
                builder.with_client_auth_cert(chain, key).map_err(|_| {
                    file_error(&files.key, "does not hold the key of the certificate")
                })?
            }
        };
        settings.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(settings)
    }

    /// What a request says of whoever makes it; none without a token.
    pub(super) fn authorization(&self) -> Result<Option<HeaderValue>, ClientError> {
        let Some(file) = &self.token else {
            return Ok(None);
        };
        let token = read_file(file, Privacy::Secret)?;
        let mut text = Zeroizing::new(Vec::with_capacity(token.len() + 7));
        text.extend_from_slice(b"Bearer ");
        text.extend_from_slice(token.expose());
        let value = HeaderValue::from_bytes(&text);
        let mut value = value.map_err(|_| file_error(file, "holds no token"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn roots(file: &Path) -> Result<RootCertStore, ClientError> {
    let pem = read_whole(file, Privacy::Public)?;
    certificates::roots(pem.expose()).map_err(|fault| file_error(file, fault))
}

fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let pem = read_whole(file, Privacy::Public)?;
    certificates::chain(pem.expose()).map_err(|fault| file_error(file, fault))
}

fn file_error(path: &Path, fault: &'static str) -> ClientError {
    ClientError::File {
        path: path.to_owned(),
        fault,
    }
}

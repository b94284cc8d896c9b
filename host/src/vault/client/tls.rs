//! Whom a connection trusts, and as whom it comes.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::certificates;
use crate::lock::Mutex;
use crate::secret::{Privacy, Secret, read_whole};
use crate::vault::config::ClientCertificate;
use crate::vault::{VaultConfig, VaultError};

/// The TLS settings. For plain http they trust nobody, and the system's roots
/// are not read: that alone takes longer than a whole cold run.
pub(super) fn settings(config: &VaultConfig) -> Result<ClientConfig, VaultError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|_| faulty("no TLS version is available"))?;
    if !config.addresses.iter().any(|address| address.encrypted()) {
        return Ok(builder
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth());
    }
    // "Dangerous" is the builder's word for any verifier that is handed in;
    // both are the ones that it would make itself.
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier(config, &provider)?);
    Ok(match &config.client_certificate {
        Some(files) => {
            builder.with_client_cert_resolver(Arc::new(Certificate::new(files.clone(), provider)?))
        }
        None => builder.with_no_client_auth(),
    })
}

/// The TLS settings for servers of the public internet: the system's roots.
pub(in crate::vault) fn public() -> Result<ClientConfig, VaultError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(system(&provider)?);
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| faulty("no TLS version is available"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

fn system(
    provider: &Arc<CryptoProvider>,
) -> Result<rustls_platform_verifier::Verifier, VaultError> {
    rustls_platform_verifier::Verifier::new(Arc::clone(provider))
        .map_err(|_| faulty("the system's trusted certificates cannot be read"))
}

/// Who judges the servers' certificates.
pub(super) fn verifier(
    config: &VaultConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, VaultError> {
    let verifier: Arc<dyn ServerCertVerifier> = match &config.ca_file {
        Some(file) => {
            let roots = Arc::new(roots(file)?);
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
                .build()
                .map_err(|_| faulty("`ca_file` cannot be used"))?
        }
        None => Arc::new(system(provider)?),
    };
    Ok(match &config.tls_server_name {
        Some(name) => Arc::new(Named {
            name: name.as_rustls().clone(),
            verifier,
        }),
        None => verifier,
    })
}

fn faulty(fault: &str) -> VaultError {
    VaultError::Settings {
        fault: fault.to_owned(),
    }
}

fn roots(file: &Path) -> Result<RootCertStore, VaultError> {
    let faulty = |what: &str| faulty(&format!("`ca_file` {} {what}", file.display()));
    let pem = std::fs::read(file).map_err(|error| faulty(&format!("cannot be read: {error}")))?;
    certificates::roots(&pem).map_err(faulty)
}

/// A verifier that expects a name of the operator's choice instead of the
/// address's.
#[derive(Debug)]
struct Named {
    name: ServerName<'static>,
    verifier: Arc<dyn ServerCertVerifier>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name_of_the_address: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier
            .verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Our certificate and its key. Both files are read anew at each handshake, so
/// that whoever renews them need not tell us.
struct Certificate {
    files: ClientCertificate,
    provider: Arc<CryptoProvider>,
    /// The last pair that fitted together.
    last: Mutex<Arc<CertifiedKey>>,
}

impl Certificate {
    fn new(files: ClientCertificate, provider: Arc<CryptoProvider>) -> Result<Self, VaultError> {
        let last = Mutex::new(read(&files, &provider)?);
        Ok(Self {
            files,
            provider,
            last,
        })
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

impl ResolvesClientCert for Certificate {
    fn resolve(
        &self,
        _issuers: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let mut last = self.last.lock();
        match read(&self.files, &self.provider) {
            Ok(fresh) => *last = fresh,
            // Perhaps only one of the two files is written yet.
            Err(error) => tracing::warn!(%error, "the client certificate was not read anew"),
        }
        Some(Arc::clone(&last))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn read(
    files: &ClientCertificate,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, VaultError> {
    let chain = read_whole(&files.certificate, Privacy::Public)?;
    let chain = certificates::chain(chain.expose()).map_err(|fault| {
        faulty(&format!(
            "`client_cert_file` {} {fault}",
            files.certificate.display()
        ))
    })?;
    let key: Secret = read_whole(&files.key, Privacy::Secret)?;
    let key = PrivateKeyDer::from_pem_slice(key.expose()).map_err(|_| {
        faulty(&format!(
            "`client_key_file` {} holds no PEM key",
            files.key.display()
        ))
    })?;
    // The error of rustls may name the key's parts.
    CertifiedKey::from_der(chain, key, provider)
        .map(Arc::new)
        .map_err(|_| {
            faulty("the key in `client_key_file` does not belong to the certificate in `client_cert_file`")
        })
}

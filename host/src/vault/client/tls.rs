//! Whom a connection trusts.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::vault::{VaultConfig, VaultError};

/// The TLS settings. For plain http they trust nobody, and the system's roots
/// are not read: that alone takes longer than a whole cold run.
pub(super) fn settings(config: &VaultConfig) -> Result<ClientConfig, VaultError> {
    let faulty = |fault: &str| VaultError::Settings {
        fault: fault.to_owned(),
    };
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| faulty("no TLS version is available"))?;
    let builder = match &config.ca_file {
        Some(file) => builder.with_root_certificates(roots(file)?),
        None if config.address.encrypted() => builder
            .with_platform_verifier()
            .map_err(|_| faulty("the system's trusted certificates cannot be read"))?,
        None => builder.with_root_certificates(RootCertStore::empty()),
    };
    Ok(builder.with_no_client_auth())
}

fn roots(file: &Path) -> Result<RootCertStore, VaultError> {
    let faulty = |what: &str| VaultError::Settings {
        fault: format!("`ca_file` {} {what}", file.display()),
    };
    let pem = std::fs::read(file).map_err(|error| faulty(&format!("cannot be read: {error}")))?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| faulty("is not PEM"))?;
        store
            .add(certificate)
            .map_err(|_| faulty("holds a malformed certificate"))?;
    }
    if store.is_empty() {
        return Err(faulty("holds no certificate"));
    }
    Ok(store)
}

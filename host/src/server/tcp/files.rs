//! The files that `[server.tcp]` names.

use std::path::Path;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::TcpError;
use crate::certificates;
use crate::config::{TcpConfig, guarded};
use crate::secret::{Privacy, read_whole};

/// The service's certificate with its chain and its key.
pub(super) fn own(config: &TcpConfig, provider: &CryptoProvider) -> Result<CertifiedKey, TcpError> {
    let (field, file) = ("certificate", &config.certificate);
    let pem = guarded_pem(field, file)?;
    let chain = certificates::chain(pem.as_bytes()).map_err(|fault| content(field, file, fault))?;
    let key = read_whole(&config.key, Privacy::Secret).map_err(TcpError::Key)?;
    let key = PrivateKeyDer::from_pem_slice(key.expose())
        .map_err(|_| content("key", &config.key, "holds no key in PEM"))?;
    // The error of rustls may name the key's parts.
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TcpError::Mismatch,
        rustls::Error::InvalidCertificate(_) => content(
            "certificate",
            &config.certificate,
            "holds a malformed certificate",
        ),
        _ => content("key", &config.key, "holds a key that cannot be used here"),
    })
}

/// Those who vouch for callers.
pub(super) fn roots(field: &'static str, file: &Path) -> Result<RootCertStore, TcpError> {
    let pem = guarded_pem(field, file)?;
    certificates::roots(pem.as_bytes()).map_err(|fault| content(field, file, fault))
}

// Who could write it could say who may call: held to the same rule as the
// configuration.
fn guarded_pem(field: &'static str, file: &Path) -> Result<String, TcpError> {
    guarded::read(file).map_err(|source| TcpError::File { field, source })
}

fn content(field: &'static str, path: &Path, fault: &'static str) -> TcpError {
    TcpError::Content {
        field,
        path: path.to_owned(),
        fault,
    }
}

/// From when to when the service's certificate, and all that stand with it in
/// its file, are good.
pub(super) fn validity(
    config: &TcpConfig,
    chain: &[CertificateDer<'_>],
) -> Result<(Timestamp, Timestamp), TcpError> {
    let mut all = (Timestamp::MIN, Timestamp::MAX);
    for der in chain {
        let malformed = "holds a malformed certificate";
        let (begin, end) =
            times(der).ok_or_else(|| content("certificate", &config.certificate, malformed))?;
        all = (all.0.max(begin), all.1.min(end));
    }
    Ok(all)
}

/// From when to when one certificate is good.
pub(super) fn times(der: &CertificateDer<'_>) -> Option<(Timestamp, Timestamp)> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    let at = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    Some((at(validity.not_before)?, at(validity.not_after)?))
}

//! Certificates as operators' files hold them: PEM, one after the other.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// All certificates of a file; at least one.
///
/// # Errors
/// What the file does wrong, in words that go on after its name.
pub(crate) fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|_| "is not PEM")?;
    match chain.is_empty() {
        false => Ok(chain),
        true => Err("holds no certificate in PEM"),
    }
}

/// The same as those who vouch for others.
///
/// # Errors
/// As [`chain`], and when one is malformed.
pub(crate) fn roots(pem: &[u8]) -> Result<RootCertStore, &'static str> {
    let mut store = RootCertStore::empty();
    for certificate in chain(pem)? {
        store
            .add(certificate)
            .map_err(|_| "holds a malformed certificate")?;
    }
    Ok(store)
}

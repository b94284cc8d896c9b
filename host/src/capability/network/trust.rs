//! Whose word a server's certificate is taken on.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;

use crate::priority::on_the_pool;

/// The system's certificates cannot be read, or those of a grant not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no certificate can be verified")]
pub(crate) struct NoTrust;

/// Trusts what the system trusts. Reading its certificates takes milliseconds:
/// keep what this returns.
pub(crate) async fn system_verifier() -> Result<Arc<dyn ServerCertVerifier>, NoTrust> {
    let verifier =
        on_the_pool(|| rustls_platform_verifier::Verifier::new(Arc::new(ring::default_provider())));
    let verifier = verifier.await.map_err(|_| NoTrust)?.map_err(|error| {
        tracing::error!(%error, "the system's certificates cannot be read");
        NoTrust
    })?;
    Ok(Arc::new(verifier))
}

/// Trusts these certificates alone.
pub(crate) fn verifier_of(roots: RootCertStore) -> Result<Arc<dyn ServerCertVerifier>, NoTrust> {
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|_| NoTrust)?;
    Ok(verifier)
}

//! Looking at the servers' certificates.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::tls;
use crate::lock::Mutex;
use crate::vault::config::VaultAddress;
use crate::vault::{VaultConfig, VaultError};

/// One day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How far ahead a certificate's end is looked for; later ones are all the same.
const HORIZON_DAYS: u64 = 3650;

/// What a handshake with one node showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerCertificate {
    /// The address is plain http.
    None,
    /// The host trusts it for so many whole days from now, 3650 at most. Its
    /// issuers count: the first certificate that ends, ends all of it.
    Trusted {
        /// The days.
        days: u64,
    },
    /// The host does not trust it.
    Distrusted(CertificateFault),
    /// There was no certificate to look at: no connection, or no TLS.
    Unseen,
}

/// Why a certificate is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFault {
    /// Nobody in `ca_file`, or in the system's store, vouches for it.
    Issuer,
    /// It does not carry the expected name.
    Name,
    /// It, or one that vouches for it, has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// It was revoked.
    Revoked,
    /// Anything else: malformed, made for another purpose.
    Other,
}

/// The verifier that the host uses, which also remembers what it was shown.
#[derive(Debug)]
struct Witness {
    verifier: Arc<dyn ServerCertVerifier>,
    verdict: Mutex<Option<ServerCertificate>>,
}

/// Shakes hands with a node, and says nothing else to it.
///
/// # Errors
/// Settings that cannot work, such as a `ca_file` without certificates.
pub(in crate::vault) async fn look_at(
    config: &VaultConfig,
    address: &VaultAddress,
    limit: Duration,
) -> Result<ServerCertificate, VaultError> {
    if !address.encrypted() {
        return Ok(ServerCertificate::None);
    }
    let url = address.url();
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Ok(ServerCertificate::Unseen);
    };
    // An IPv6 address stands in brackets in a URL, and nowhere else.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let Ok(name) = ServerName::try_from(host.to_owned()) else {
        return Ok(ServerCertificate::Unseen);
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let witness = Arc::new(Witness {
        verifier: tls::verifier(config, &provider)?,
        verdict: Mutex::new(None),
    });
    let settings = settings(provider, Arc::clone(&witness))?;
    let handshake = async {
        let stream = TcpStream::connect((host, port)).await?;
        // Whether the server then wants a certificate of ours is another matter.
        TlsConnector::from(settings).connect(name, stream).await
    };
    let _ = tokio::time::timeout(limit, handshake).await;
    let verdict = witness.verdict.lock().take();
    Ok(verdict.unwrap_or(ServerCertificate::Unseen))
}

fn settings(
    provider: Arc<CryptoProvider>,
    witness: Arc<Witness>,
) -> Result<Arc<ClientConfig>, VaultError> {
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| VaultError::Settings {
            fault: "no TLS version is available".to_owned(),
        })?;
    let config = builder
        .dangerous()
        .with_custom_certificate_verifier(witness)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let at = |now| {
            self.verifier
                .verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
        };
        let result = at(now);
        *self.verdict.lock() = Some(match &result {
            Ok(_) => ServerCertificate::Trusted {
                days: last_day(|day| at(after(now, day)).is_ok()),
            },
            Err(error) => ServerCertificate::Distrusted(CertificateFault::of(error)),
        });
        result
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

impl CertificateFault {
    fn of(error: &Error) -> Self {
        let Error::InvalidCertificate(error) = error else {
            return Self::Other;
        };
        match error {
            // The second: an authority of the same name, but with another key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Issuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::Name
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            CertificateError::Revoked => Self::Revoked,
            _ => Self::Other,
        }
    }
}

fn after(now: UnixTime, days: u64) -> UnixTime {
    let seconds = now.as_secs() + days * DAY.as_secs();
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// The last day on which it holds, when it holds today and stops once.
///
/// Asking the verifier itself needs no parser of certificates, and covers all
/// that vouch for each other.
fn last_day(holds_on: impl Fn(u64) -> bool) -> u64 {
    let (mut good, mut bad) = (0, HORIZON_DAYS + 1);
    while bad - good > 1 {
        let middle = good.midpoint(bad);
        if holds_on(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_day_is_found() {
        for last in [0, 1, 13, 14, 364, 3649, 3650] {
            assert_eq!(last_day(|day| day <= last), last);
        }
        assert_eq!(last_day(|_| true), 3650);
    }
}

//! TLS as the service speaks it.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;

use super::TcpError;
use super::files;
use super::names;
use crate::caller::Caller;
use crate::config::TcpConfig;
use crate::lock::Mutex;
use crate::server::access::Peer;

/// TLS 1.2 and 1.3 with one certificate, and who may show one to it.
pub(in crate::server) struct Tls {
    /// For new connections.
    pub(in crate::server) settings: Arc<ServerConfig>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// From when to when the service's certificate is good.
    pub(super) validity: (Timestamp, Timestamp),
}

/// The certificate that a caller showed at the handshake.
pub(in crate::server) struct Shown {
    peer: Arc<Peer>,
    chain: Vec<CertificateDer<'static>>,
    ends: Timestamp,
    /// By whom it was verified last.
    by: Mutex<Arc<Tls>>,
}

impl Tls {
    /// Reads certificate, key and `client_ca`.
    pub(super) fn load(config: &TcpConfig) -> Result<Self, TcpError> {
        let provider = Arc::new(ring::default_provider());
        let own = files::own(config, &provider)?;
        let validity = files::validity(config, &own.cert)?;
        let verifier = match &config.client_ca {
            None => None,
            Some(file) => {
                let roots = Arc::new(files::roots("client_ca", file)?);
                let builder =
                    WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
                // A token does as well, where one is taken.
                let builder = match config.jwt.is_some() {
                    true => builder.allow_unauthenticated(),
                    false => builder,
                };
                let verifier = builder.build();
                Some(verifier.map_err(|_| TcpError::Tls("`client_ca` cannot be used"))?)
            }
        };
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| TcpError::Tls("no TLS version is available"))?;
        let builder = match &verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
            None => builder.with_no_client_auth(),
        };
        let mut settings = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
        settings.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A session that is resumed brings its certificate along unseen: every
        // connection shows it anew instead.
        settings.session_storage = Arc::new(NoServerSessionStorage {});
        settings.send_tls13_tickets = 0;
        Ok(Self {
            settings: Arc::new(settings),
            verifier,
            validity,
        })
    }
}

impl Shown {
    /// The certificate of a handshake that `tls` let pass; none when it has no
    /// name by which a rule could tell it.
    pub(in crate::server) fn new(tls: Arc<Tls>, chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (own, _) = chain.split_first()?;
        let caller = Caller::Certificate {
            subject: names::name(own)?,
        };
        let (_, ends) = files::times(own)?;
        Some(Self {
            peer: Arc::new(Peer::remote(caller)),
            chain: chain.iter().map(|one| one.clone().into_owned()).collect(),
            ends,
            by: Mutex::new(tls),
        })
    }

    /// Who showed it, as long as it is good: connections outlive certificates,
    /// and whoever vouches for them.
    pub(in crate::server) fn peer(&self, now: &Arc<Tls>) -> Option<&Arc<Peer>> {
        if self.ends < Timestamp::now() {
            return None;
        }
        let mut by = self.by.lock();
        if !Arc::ptr_eq(&by, now) {
            let (own, others) = self.chain.split_first()?;
            let verifier = now.verifier.as_ref()?;
            let verified = verifier.verify_client_cert(own, others, UnixTime::now());
            verified.ok()?;
            *by = Arc::clone(now);
        }
        Some(&self.peer)
    }
}

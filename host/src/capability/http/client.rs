//! The HTTP clients of the process, one for each destination.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use url::Host;

use super::grant::HttpGrant;
use super::names::CheckedNames;
use crate::capability::network::{
    ForbiddenOrigin, Network, Origin, Resolver, SystemResolver, system_verifier,
};
use crate::lock::Mutex;

/// Time to reach a server, within the time of the exchange.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an unused connection is kept; short, for its buffers have carried
/// credentials.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// How the host names itself, unless the task does.
const USER_AGENT: &str = concat!("cofferdam/", env!("CARGO_PKG_VERSION"));

/// The HTTP clients of the process. A client is made once for each destination
/// (scheme, host, port and network) and shared by every attempt, with its
/// connections; it holds no credential.
pub struct HttpClients {
    forbidden: Arc<[ForbiddenOrigin]>,
    resolver: Arc<dyn Resolver>,
    roots: Option<Arc<RootCertStore>>,
    tls: OnceCell<ClientConfig>,
    destinations: Mutex<HashMap<Key, Arc<Destination>>>,
}

/// A client that reaches one origin and nothing else.
pub(super) struct Destination {
    pub(super) client: reqwest::Client,
    pub(super) origin: Arc<Origin>,
}

/// The client cannot be made: the system's certificates cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the HTTP client cannot be made")]
pub(super) struct NoClient;

#[derive(PartialEq, Eq, Hash)]
struct Key {
    https: bool,
    host: Host<String>,
    port: u16,
    network: Network,
}

impl HttpClients {
    /// Clients that trust the system's certificates and ask the system's
    /// resolver; `forbidden` holds the addresses of Vault. Loads and connects
    /// nothing yet.
    pub fn new(forbidden: Vec<ForbiddenOrigin>) -> Self {
        Self {
            forbidden: forbidden.into(),
            resolver: Arc::new(SystemResolver),
            roots: None,
            tls: OnceCell::new(),
            destinations: Mutex::default(),
        }
    }

    /// Asks another resolver.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = resolver;
        self
    }

    /// Trusts these certificates instead of the system's.
    #[must_use]
    pub fn with_roots(mut self, roots: Arc<RootCertStore>) -> Self {
        self.roots = Some(roots);
        self
    }

    /// The client for a grant's destination.
    pub(super) async fn destination(
        &self,
        grant: &HttpGrant,
    ) -> Result<Arc<Destination>, NoClient> {
        let host = grant.base.host().ok_or(NoClient)?.to_owned();
        let key = Key {
            https: grant.base.scheme() == "https",
            host: host.clone(),
            port: grant.base.port_or_known_default().ok_or(NoClient)?,
            network: grant.network,
        };
        if let Some(known) = self.destinations.lock().get(&key) {
            return Ok(known.clone());
        }
        let tls = if key.https {
            self.tls().await?
        } else {
            // Never used, but reqwest would load the system's roots without it.
            tls_config(ring_builder()?.with_root_certificates(RootCertStore::empty()))
        };
        let origin = Arc::new(Origin::new(
            host,
            key.port,
            key.network,
            self.forbidden.clone(),
            self.resolver.clone(),
        ));
        let made = Arc::new(Destination {
            client: client(tls, CheckedNames(origin.clone()))?,
            origin,
        });
        Ok(self.destinations.lock().entry(key).or_insert(made).clone())
    }

    /// The TLS settings, made when first needed: reading the system's
    /// certificates takes milliseconds.
    async fn tls(&self) -> Result<ClientConfig, NoClient> {
        let config = self
            .tls
            .get_or_try_init(|| async {
                let builder = ring_builder()?;
                if let Some(roots) = &self.roots {
                    return Ok(tls_config(builder.with_root_certificates(roots.clone())));
                }
                let verifier = system_verifier().await.map_err(|_| NoClient)?;
                let builder = builder
                    .dangerous()
                    .with_custom_certificate_verifier(verifier);
                Ok(tls_config(builder))
            })
            .await?;
        Ok(config.clone())
    }
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>;

fn ring_builder() -> Result<Builder, NoClient> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| NoClient)
}

fn tls_config(
    builder: rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>,
) -> ClientConfig {
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

fn client(tls: ClientConfig, names: CheckedNames) -> Result<reqwest::Client, NoClient> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(names)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .http1_only()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_nodelay(true)
        .build()
        .map_err(|error| {
            tracing::error!(error = %error.without_url(), "an HTTP client cannot be made");
            NoClient
        })
}

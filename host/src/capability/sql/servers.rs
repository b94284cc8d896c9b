//! The database servers that the process may reach, and how.

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use url::Host;

use super::SqlGrant;
use super::postgres::{Place, Target, Tls};
use super::server::Endpoint;
use super::settings;
use crate::capability::network::{
    Blocked, ForbiddenOrigin, NoTrust, Origin, Resolver, SystemResolver, system_verifier,
    verifier_of,
};

/// What a message holds beside the row's own bytes, at most.
const OVERHEAD: u64 = 64 << 10;

/// What connections to databases share: where they may not go, who turns names
/// into addresses, whom they trust.
pub struct SqlServers {
    forbidden: Arc<[ForbiddenOrigin]>,
    resolver: Arc<dyn Resolver>,
    system: OnceCell<Arc<dyn ServerCertVerifier>>,
}

/// Why a server cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreachable {
    /// Its name or address.
    Blocked(Blocked),
    /// Nothing can verify its certificate.
    NoTrust,
}

impl SqlServers {
    /// Servers that the system's resolver finds; `forbidden` holds the
    /// addresses of Vault. Loads and connects nothing yet.
    pub fn new(forbidden: Vec<ForbiddenOrigin>) -> Self {
        Self {
            forbidden: forbidden.into(),
            resolver: Arc::new(SystemResolver),
            system: OnceCell::new(),
        }
    }

    /// Asks another resolver.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = resolver;
        self
    }

    /// What a connection under a grant is made from, its addresses checked.
    pub(super) async fn target(&self, grant: &SqlGrant) -> Result<Target, Unreachable> {
        let place = match &grant.server.endpoint {
            Endpoint::Socket(path) => Place::Path(path.clone()),
            Endpoint::Tcp { host, port } => {
                let origin = Origin::new(
                    host.clone(),
                    *port,
                    grant.network,
                    Arc::clone(&self.forbidden),
                    Arc::clone(&self.resolver),
                );
                Place::Addresses(origin.addresses().await.map_err(Unreachable::Blocked)?)
            }
        };
        let limit = grant.max_message().saturating_add(OVERHEAD);
        Ok(Target {
            place,
            tls: self.tls(grant).await.map_err(|_| Unreachable::NoTrust)?,
            database: grant.server.database.clone(),
            options: settings::of(grant),
            max_message: usize::try_from(limit).unwrap_or(usize::MAX),
        })
    }

    async fn tls(&self, grant: &SqlGrant) -> Result<Option<Tls>, NoTrust> {
        let Endpoint::Tcp { host, .. } = &grant.server.endpoint else {
            return Ok(None);
        };
        if grant.plain {
            return Ok(None);
        }
        let verifier = match &grant.ca {
            Some(certificates) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates {
                    roots.add(certificate.clone()).map_err(|_| NoTrust)?;
                }
                verifier_of(roots)?
            }
            None => Arc::clone(self.system.get_or_try_init(system_verifier).await?),
        };
        // "Dangerous" is the builder's word for any verifier that is handed in.
        let settings = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| NoTrust)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Some(Tls {
            settings: Arc::new(settings),
            name: name_of(host)?,
        }))
    }
}

fn name_of(host: &Host<String>) -> Result<ServerName<'static>, NoTrust> {
    match host {
        Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|_| NoTrust),
        Host::Ipv4(address) => Ok(ServerName::IpAddress((*address).into())),
        Host::Ipv6(address) => Ok(ServerName::IpAddress((*address).into())),
    }
}

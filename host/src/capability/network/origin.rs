//! One destination: a host and a port, the network it must lie in, and the
//! addresses that were checked. Connections go to checked addresses only, so
//! that a name which changes its answer gains nothing (THREATS 6).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::{Host, Url};

use super::{Network, Resolver};
use crate::lock::Mutex;

/// How long a checked answer is used before the name is asked again. Short
/// enough to follow a fail-over, long enough that a paging task asks once.
const ANSWER_LIFE: Duration = Duration::from_secs(10);

/// A host and port that no grant may reach: Vault's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForbiddenOrigin {
    host: Host<String>,
    port: u16,
}

impl ForbiddenOrigin {
    /// The origin of an address such as `https://vault.example.com:8200`;
    /// `None` when it has no host or no known port.
    pub fn of(url: &Url) -> Option<Self> {
        Some(Self {
            host: url.host()?.to_owned(),
            port: url.port_or_known_default()?,
        })
    }
}

/// Why a destination cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Blocked {
    /// The name has no address now.
    #[error("the name cannot be resolved")]
    Unresolved,
    /// One of its addresses lies outside the grant's network.
    #[error("an address lies outside the granted network")]
    Network,
    /// It is Vault.
    #[error("vault is never a destination")]
    Forbidden,
}

/// A destination and what guards it.
pub(crate) struct Origin {
    host: Host<String>,
    port: u16,
    network: Network,
    forbidden: Arc<[ForbiddenOrigin]>,
    resolver: Arc<dyn Resolver>,
    checked: Mutex<Option<Checked>>,
}

#[derive(Clone)]
struct Checked {
    until: Instant,
    addresses: Arc<[SocketAddr]>,
}

impl Origin {
    pub(crate) fn new(
        host: Host<String>,
        port: u16,
        network: Network,
        forbidden: Arc<[ForbiddenOrigin]>,
        resolver: Arc<dyn Resolver>,
    ) -> Self {
        Self {
            host,
            port,
            network,
            forbidden,
            resolver,
            checked: Mutex::new(None),
        }
    }

    /// Whether this is the name that the destination has.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        match &self.host {
            Host::Domain(expected) => expected == name,
            Host::Ipv4(_) | Host::Ipv6(_) => false,
        }
    }

    /// The addresses to connect to: all of the name's, all of them checked. An
    /// answer with one bad address is refused whole.
    pub(crate) async fn addresses(&self) -> Result<Arc<[SocketAddr]>, Blocked> {
        let known = self.checked.lock().clone();
        if let Some(checked) = known.filter(|checked| Instant::now() < checked.until) {
            return Ok(checked.addresses);
        }
        let found = self.resolve(&self.host).await?;
        if !found.iter().all(|address| self.network.admits(*address)) {
            return Err(Blocked::Network);
        }
        self.check_forbidden(&found).await?;
        let addresses: Arc<[SocketAddr]> = found
            .into_iter()
            .map(|address| SocketAddr::new(address, self.port))
            .collect();
        *self.checked.lock() = Some(Checked {
            until: Instant::now() + ANSWER_LIFE,
            addresses: addresses.clone(),
        });
        Ok(addresses)
    }

    /// Vault listens on one port; whatever name or address leads there is Vault.
    async fn check_forbidden(&self, found: &[IpAddr]) -> Result<(), Blocked> {
        for forbidden in self.forbidden.iter().filter(|it| it.port == self.port) {
            if forbidden.host == self.host {
                return Err(Blocked::Forbidden);
            }
            // Fails closed: while Vault's name has no answer, nothing on its
            // port can be told from it.
            let vault = self.resolve(&forbidden.host).await?;
            let same = |address: &IpAddr| {
                vault.iter().any(|of| {
                    // A server bound to every address answers on all of 127.0.0.0/8 and ::1.
                    of == address || (of.is_loopback() && address.is_loopback())
                })
            };
            if found.iter().any(same) {
                return Err(Blocked::Forbidden);
            }
        }
        Ok(())
    }

    async fn resolve(&self, host: &Host<String>) -> Result<Vec<IpAddr>, Blocked> {
        let mut addresses = match host {
            Host::Ipv4(address) => vec![IpAddr::V4(*address)],
            Host::Ipv6(address) => vec![IpAddr::V6(*address)],
            Host::Domain(name) => self
                .resolver
                .resolve(name)
                .await
                .map_err(|_| Blocked::Unresolved)?,
        };
        if addresses.is_empty() {
            return Err(Blocked::Unresolved);
        }
        for address in &mut addresses {
            *address = address.to_canonical();
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use async_trait::async_trait;

    use super::*;

    struct Answers(Mutex<Vec<&'static str>>);

    #[async_trait]
    impl Resolver for Answers {
        async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
            let answer = self.0.lock().remove(0);
            Ok(vec![answer.parse().unwrap()])
        }
    }

    #[tokio::test]
    async fn each_new_answer_is_checked_again() {
        let answers = vec!["93.184.216.34", "127.0.0.1", "1.1.1.1"];
        let origin = Origin::new(
            Host::Domain("api.example".to_owned()),
            443,
            Network::Public,
            Arc::new([]),
            Arc::new(Answers(Mutex::new(answers))),
        );
        let first = origin.addresses().await.unwrap();
        assert_eq!(first.to_vec(), ["93.184.216.34:443".parse().unwrap()]);
        // Within its life an answer stands, whatever the name says by now.
        assert_eq!(origin.addresses().await.unwrap(), first);
        let expire = || origin.checked.lock().as_mut().unwrap().until = Instant::now();
        expire();
        assert_eq!(origin.addresses().await.unwrap_err(), Blocked::Network);
        let third = origin.addresses().await.unwrap();
        assert_eq!(third.to_vec(), ["1.1.1.1:443".parse().unwrap()]);
    }
}

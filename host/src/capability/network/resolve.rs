//! From the name of a server to its addresses.

use std::io;
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use tokio::net::lookup_host;

/// Turns a name into addresses; a seam, so that a test can answer as a hostile
/// name server would.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// Every address of a name, IPv4 and IPv6.
    ///
    /// # Errors
    /// When the name does not exist or no server answers.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// What the operating system is set up to ask.
pub(crate) struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let host = host.to_owned();
        // It blocks a thread of the runtime's pool, which a worker has to start: `on_the_pool`
        // says why.
        let looked_up =
            tokio::spawn(async move { lookup_host((host, 0)).await.map(Vec::from_iter) });
        let found: Vec<SocketAddr> = looked_up.await.map_err(io::Error::other)??;
        let mut addresses: Vec<IpAddr> = found
            .iter()
            .map(|address| address.ip().to_canonical())
            .collect();
        addresses.dedup();
        Ok(addresses)
    }
}

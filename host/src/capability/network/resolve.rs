//! From the name of a server to its addresses.

use std::io;
use std::net::IpAddr;

use async_trait::async_trait;

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
        let found = tokio::net::lookup_host((host, 0)).await?;
        let mut addresses: Vec<IpAddr> = found.map(|address| address.ip().to_canonical()).collect();
        addresses.dedup();
        Ok(addresses)
    }
}

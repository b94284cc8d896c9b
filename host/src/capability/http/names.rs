//! The resolver that the HTTP client connects through: it knows one name.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::capability::network::{Blocked, Origin};

/// Answers with the checked addresses of one destination.
pub(super) struct CheckedNames(pub(super) Arc<Origin>);

impl reqwest::dns::Resolve for CheckedNames {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let origin = self.0.clone();
        Box::pin(async move {
            if !origin.is_named(name.as_str()) {
                return Err(Blocked::Network.into());
            }
            let addresses = origin.addresses().await?;
            let addresses: Vec<SocketAddr> = addresses.to_vec();
            Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

//! Those who vouch for a host: an issuer of JWTs, a certificate authority and
//! a cluster that reviews service-account tokens.

mod authority;
mod cluster;
mod issuer;

pub use authority::{Authority, Issued};
pub use cluster::Cluster;
pub use issuer::Issuer;

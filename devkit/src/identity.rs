//! Those who vouch for a host: an issuer of JWTs and a place for key sets, a
//! certificate authority, a cluster that reviews service-account tokens, AWS,
//! and a provider for people.

mod authority;
mod aws;
mod cluster;
mod issuer;
mod key_sets;
mod people;

pub use authority::{Authority, Issued};
pub use aws::{Aws, AwsKey};
pub use cluster::Cluster;
pub use issuer::Issuer;
pub use key_sets::KeySetServer;
pub use people::{Browser, People, Sent};

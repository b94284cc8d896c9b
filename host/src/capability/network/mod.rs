//! Where a grant may connect to: the class of an address, the name behind it
//! and the checked addresses that a connection is pinned to. Shared by every
//! capability that reaches a server.

mod class;
mod host;
mod origin;
mod resolve;
mod trust;

pub use class::Network;
pub(crate) use host::check_host;
pub use origin::ForbiddenOrigin;
pub(crate) use origin::{Blocked, Origin};
pub use resolve::Resolver;
pub(crate) use resolve::SystemResolver;
pub(crate) use trust::{NoTrust, system_verifier, verifier_of};

//! What a failure of Vault means to a capability.

/// What a capability needs to know of a [`VaultError`](super::VaultError).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VaultErrorKind {
    /// Not reachable, sealed, overloaded.
    Unavailable,
    /// The token may not do this.
    Denied,
    /// There is nothing at this path.
    NotFound,
    /// Vault calls the request malformed.
    Invalid,
    /// The attempt's authority has ended.
    Closed,
    /// Configuration on this side: a file, an address.
    Configuration,
    /// An answer that makes no sense, or a fault of ours.
    Internal,
    /// A lease has ended and may not be replaced.
    Expired,
    /// A limit of the host's own.
    Limit,
    /// Vault answers, but the engine behind it failed.
    Engine,
}

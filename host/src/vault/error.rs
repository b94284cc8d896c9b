//! Why Vault could not be used.

use crate::diagnostic::{Blame, Diagnostic, Exit};

/// What a capability needs to know of a [`VaultError`].
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
}

/// Why Vault could not be used. No variant carries a secret or a server's text
/// beyond what its documentation fixes.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The attempt's authority has ended.
    #[error("the attempt's authority has ended")]
    Closed,
}

impl VaultError {
    /// The class of the error.
    pub fn kind(&self) -> VaultErrorKind {
        match self {
            Self::Closed => VaultErrorKind::Closed,
        }
    }
}

impl Diagnostic for VaultError {
    fn exit(&self) -> Exit {
        Exit::Unavailable
    }

    fn blame(&self) -> Blame {
        Blame::Operator
    }
}

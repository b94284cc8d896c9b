//! Attempts that log in to Vault as themselves.
//!
//! Instead of a child of the host's log-in, an attempt can get the token of a
//! log-in of its own: the host signs a short JWT that says whose attempt it is
//! ([`claims`]), with a key whose public half Vault knows ([`key`],
//! [`keyring`]), and shows it to a JWT mount ([`login`]). Vault itself then
//! decides what this DAG's task may do: by the role's bound claims, and by
//! policies that name the DAG through the metadata of its alias. What comes
//! back is compared as strictly as a mint ([`answer`]), and the host's own
//! log-in ends it like any other.

mod answer;
mod claims;
mod error;
mod key;
mod keyring;
mod login;
mod signer;

pub use error::IdentityKeyError;
pub use key::PublicKey;
pub use keyring::{KeySet, Keyring, RETIREMENT, Replaced};
pub use login::JwtLogin;
pub use signer::Clock;
pub(super) use signer::Signer;

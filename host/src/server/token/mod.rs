//! Bearer tokens: who vouches for a caller in a JWT.
//!
//! [`Tokens`] says whose a token is; [`KeySet`] is what its issuer publishes,
//! `fetch` gets it, `crypto` does the sums. Nothing of a token but its issuer and
//! its subject goes any further than this folder.

mod crypto;
mod error;
mod fetch;
mod keys;
mod renewal;
mod tokens;

use crate::config::JwtConfig;

pub use error::KeySetError;
pub(super) use tokens::{BadToken, Tokens};

/// Reads or fetches a key set as the service would.
///
/// # Errors
/// What the service would not start with.
pub(crate) async fn try_key_set(config: &JwtConfig) -> Result<(), KeySetError> {
    Tokens::load(config, None).await.map(|_| ())
}

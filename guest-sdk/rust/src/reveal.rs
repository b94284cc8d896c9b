//! Plaintext, for what nothing else can serve.
//!
//! A task that calls this imports an interface that other tasks do not have;
//! its reviewer sees that from the component alone. Reach for
//! [`http`](crate::http) and [`keys`](crate::keys) first.

use crate::Refusal;
use crate::bindings::cofferdam::capabilities::reveal as host;

/// The secret of a `[reveal.NAME]` grant.
pub fn reveal(grant: &str) -> Result<Vec<u8>, Refusal> {
    host::reveal(grant).map_err(|failure| Refusal::new(failure, format!("reveal of `{grant}`")))
}

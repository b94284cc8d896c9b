//! The `reveal` capability: one field of a KV secret, in plaintext, for what
//! nothing else can serve.
//!
//! What is revealed is a secret from then on: the attempt's scrubber knows it,
//! so that the task's log, result and answers of others do not spread it. For
//! the same reason a secret too short to be recognised is not revealed.

mod grant;
mod host;

pub use grant::RevealGrant;

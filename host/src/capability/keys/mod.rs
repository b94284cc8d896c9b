//! The `keys` capability: operations with a key in Vault's transit engine. The
//! key never leaves Vault. What `decrypt` returns is the task's own data; it
//! passes the scrubber like everything else that the host returns.

mod form;
mod grant;
mod host;

pub use grant::{KeyOperation, KeysGrant};
pub use host::KeyHandle;

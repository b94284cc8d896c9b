//! The one owner of HTTP to Vault.
//!
//! vaultrs's request types say which method, path and body a request has; this
//! module sends them: no redirects, no proxies, bounded answers, one token per
//! call, nothing logged. rustify's own way of sending is not used because it
//! records addresses and server texts in the log.

mod call;
mod reply;
mod tls;
mod transport;

pub(super) use call::Call;
pub(super) use reply::{AuthAnswer, Envelope, Reply};
pub(super) use transport::{Client, jittered};

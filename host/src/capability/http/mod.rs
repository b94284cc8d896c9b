//! The `http` capability: calls to one API, under a credential that the host
//! adds and the task never holds.
//!
//! Order of a call: parse → scope → DNS and address check → audit intent →
//! resolve the credential → inject → send → scrub.

mod apply;
mod base;
mod body;
mod client;
mod decode;
mod document;
mod exchange;
mod grant;
mod headers;
mod host;
mod inject;
mod names;
mod path;
mod rule;
mod template;
mod transport;

pub use client::HttpClients;
pub use grant::{HttpCredential, HttpGrant, Injection};
pub(crate) use host::RenderedCredentials;
pub use host::{Client, ClientHandle, ResponseHandle};
pub use rule::AllowRule;
pub use template::Template;

#[cfg(test)]
pub(crate) mod tests;

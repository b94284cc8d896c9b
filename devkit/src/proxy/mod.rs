//! A proxy between a client and a plain HTTP/1.1 server that breaks chosen
//! requests on purpose.
//!
//! Every connection serves one request, so that each fault hits one call. A
//! test can wait until a fault was hit, do something (kill the client, stop
//! the server) and let the request go on.
//!
//! ```no_run
//! use std::time::Duration;
//! use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
//!
//! # fn main() -> anyhow::Result<()> {
//! let proxy = Proxy::start("127.0.0.1:8200".parse()?)?;
//! let revoke = proxy.inject(Rule::on("POST", "revoke-accessor", Fault::HoldRequest).times(1));
//! // start a client at proxy.address() …
//! revoke.wait_hit(Duration::from_secs(5))?;
//! // … the client waits for its revoke now; kill it, or:
//! revoke.release();
//! # Ok(())
//! # }
//! ```

mod rule;
mod server;

#[cfg(test)]
mod tests;

pub use rule::{Fault, Injected, Rule};
pub use server::{Passed, Proxy, Span};

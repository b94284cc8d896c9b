//! The one owner of HTTP to Vault.
//!
//! vaultrs's request types say which method, path and body a request has; this
//! module sends them: no redirects, no proxies, bounded answers, one token per
//! call, nothing secret in the log. rustify's own way of sending is not used because it
//! records queries and server texts there.
//!
//! The cluster has one or more nodes. A request goes to the current one, and on
//! to the next healthy one when it certainly did nothing, or may be repeated.

mod call;
mod certificate;
mod clock;
mod connections;
mod exchange;
mod fault;
mod health;
mod nodes;
mod reply;
mod run_tag;
mod spans;
mod tls;
mod transport;
mod waits;

pub(super) use call::Call;
pub(super) use certificate::look_at;
pub use certificate::{CertificateFault, ServerCertificate};
pub use health::NodeHealth;
pub use nodes::Health;
pub(super) use reply::{AuthAnswer, Envelope, Reply};
pub(super) use run_tag::RunTag;
pub(super) use tls::public as public_tls;
pub(super) use transport::Client;
pub(super) use waits::jittered;

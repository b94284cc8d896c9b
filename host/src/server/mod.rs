//! `cofferdam serve`: the host as a service under a user of its own.
//!
//! [`serve`] is the whole of it: [`Service`] carries runs, `http` speaks to
//! callers, `listen` knows who they are. From bottom to top: `store` keeps what
//! became of runs, `queue` says whose turn it is, `live` and `log` are one run
//! under way, `registry` knows all of them, `catalogue` and `access` are what a
//! reload replaces.

mod access;
mod catalogue;
mod error;
mod http;
mod listen;
mod live;
mod log;
mod metrics;
mod queue;
mod refused;
mod registry;
mod serve;
mod service;
mod settings;
mod store;
mod watch;

pub use access::{UnknownAccount, lets_in};
pub use error::ServeError;
pub use http::document;
pub use listen::Socket;
pub use serve::{Signals, serve};
pub use service::Service;
pub use store::StoreError;

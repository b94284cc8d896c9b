//! `cofferdam serve`: the host as a service under a user of its own.
//!
//! [`serve`] is the whole of it: [`Service`] carries runs, `http` speaks to
//! callers, `door` lets them in and knows who they are, by the kernel's word, by a
//! certificate (`tcp`) or by a token (`token`). From bottom to top: `store` keeps what
//! became of runs, `queue` says whose turn it is, `live` and `log` are one run
//! under way, `registry` knows all of them, `catalogue` and `access` are what a
//! reload replaces.

mod access;
mod budget;
mod catalogue;
mod door;
mod error;
mod groups;
mod http;
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
mod tcp;
mod token;
mod watch;

pub use access::{UnknownAccount, lets_in};
pub use door::Socket;
pub use error::ServeError;
pub use http::document;
pub use serve::{Listening, Signals, serve};
pub use service::Service;
pub use store::StoreError;
pub use tcp::TcpError;
pub(crate) use tcp::validity;
pub use token::KeySetError;
pub(crate) use token::try_key_set;

//! PostgreSQL: the driver and what stands around it.
//!
//! The driver is `tokio-postgres`: it is asynchronous, it takes a stream that
//! is already there (so that addresses are checked, TLS is ours, and [`guard`]
//! sees each byte first), it streams rows and COPY with back pressure, and it
//! hands out values as they were sent. `sqlx` does its own name resolving and
//! connecting, keeps a pool that an attempt cannot have, and does not offer the
//! stream. Both leave the password in memory of their own; the host wipes what
//! it frees.

mod cancel;
mod connect;
mod copy;
mod decode;
mod encode;
mod error;
mod guard;
mod preparing;
mod rows;
mod session;
mod socket;
mod tls;
mod types;

#[cfg(test)]
pub(super) use connect::Unconnected;
pub(super) use connect::{Login, Target, connect};
pub(super) use copy::{CopyIn, CopyOut};
pub(super) use error::{Fault, ServerFault};
pub(super) use rows::Rows;
pub(super) use session::{Prepared, Session};
pub(super) use socket::Place;
pub(super) use tls::Tls;

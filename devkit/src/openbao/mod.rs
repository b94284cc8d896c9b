//! A real OpenBao, for one test or one demo: in development mode, or with
//! storage that survives its process.
//!
//! It writes an audit file, and is gone with all it holds when the value drops
//! or our process dies.

mod durable;
mod living;
mod provision;
mod root;
mod seal;
mod server;

pub use living::Living;
pub use provision::{HOST_POLICY, HOST_ROLE, Provision, Provisioned};
pub use server::{DevOptions, OpenBao};

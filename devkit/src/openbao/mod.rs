//! A real OpenBao in development mode, for one test or one demo.
//!
//! It keeps everything in memory, writes an audit file, and is gone when the
//! value drops or its process dies.

mod living;
mod provision;
mod root;
mod server;

pub use living::Living;
pub use provision::{HOST_POLICY, HOST_ROLE, Provision, Provisioned};
pub use server::{DevOptions, OpenBao};

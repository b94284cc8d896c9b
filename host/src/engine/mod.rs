//! The sandbox: wasmtime, its limits, the compiled-code cache, one instance
//! per attempt. It links capabilities and knows nothing of Vault.
//!
//! - [`Engine`]: made once per process; links every interface once.
//! - [`LoadedTask`]: a component whose digest and imports fit its grants.
//! - [`instance::run`]: one attempt in a store of its own, under [`Limits`](crate::grants::Limits).

mod cache;
mod compiler;
mod component;
mod error;
mod growth;
pub mod instance;
mod lane;
mod limiter;
mod running;
mod setup;
mod state;
mod stdio;
mod ticker;

pub use crate::priority::Background;
pub use component::LoadedTask;
pub use error::LoadError;
pub use instance::{Disposition, GuestOutcome};
pub use limiter::Limit;
pub use setup::{Engine, Progress};

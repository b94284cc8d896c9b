//! Cofferdam runs task steps as WebAssembly components that use secrets they
//! can never read. ARCHITECTURE.md in the repository draws the line of a run
//! and says which module may know what.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test that fails should stop where it fails"
    )
)]

pub mod api;
pub mod audit;
pub mod caller;
pub mod capability;
mod certificates;
pub mod cli;
pub mod client;

pub mod config;
pub mod diagnostic;
pub mod digest;
mod disk;
pub mod doctor;
pub mod engine;
pub mod grants;
pub mod identity;
mod lock;
pub mod manifest;
pub mod name;
mod priority;
pub mod run;
pub mod scrub;
pub mod secret;
pub mod server;
mod share;
mod tcp;
pub mod telemetry;
pub mod vault;

//! Everything that needs more than one module: real servers, real processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that fails should stop where it fails"
)]

mod bad_days;
mod common;
mod dags;
mod doctor;
mod examples;
mod guide;
mod identity;
mod in_process;
mod input;
mod leaks;
mod leases;
mod lifecycle;
mod limits;
mod lists;
mod login;
mod machines;
mod observe;
mod serve;
mod sql;
mod surface;
mod vault;

//! A real Airflow with our provider: api-server, scheduler, dag-processor and
//! triggerer, the LocalExecutor, SQLite. All of it listens on 127.0.0.1 only and
//! dies with us.
//!
//! It is one installation after another that costs time (the environment about a
//! minute once, a start about 15 s), so tests share one.

mod api;
mod server;

pub use api::{Api, Instance};
pub use server::{Airflow, Options, Part};

//! A real PostgreSQL in a private cluster, for one test or one demo.
//!
//! The cluster lies in a folder of its own, takes SCRAM passwords only, listens
//! on 127.0.0.1 and a Unix socket, and is gone when the value drops or its
//! process dies. No cluster of the system is touched. PostgreSQL refuses to run
//! as root: then it runs as the user `postgres`.

mod cluster;
mod engine;
mod questions;
mod server;

pub use engine::{DatabaseRole, StaticRole};
pub use server::{Options, Postgres};

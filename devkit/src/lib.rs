//! What the demo, the tests and a developer at the keyboard need around the
//! host: real servers, hostile servers, built guests, and the tools for them.
//!
//! Nothing here ships. Servers listen on 127.0.0.1 only, on ports found free,
//! and die with the process that started them, even when it is killed.
//!
//! - [`tools`] finds or installs OpenBao, PostgreSQL and the wasm32-wasip2 target.
//! - [`openbao`] starts a real OpenBao and asks it questions as root.
//! - [`airflow`] starts a real Airflow with our provider.
//! - [`postgres`] starts a real PostgreSQL and sets Vault's engine up on it.
//! - [`guests`] builds the guest components and tells whether they are current.
//! - [`identity`] vouches for a host: JWTs, certificates, a TokenReview.
//! - [`journal`] reads what the host keeps for the sweep.
//! - [`process`] guards children, ports, private folders and threads.
//! - [`proxy`] stands between host and server and breaks things on purpose.
//! - [`upstream`] is a hostile HTTP API that reflects what it got.
//! - [`collector`] takes traces over OTLP and remembers them.
//! - [`clock`] gives a child a clock that is wrong.
//! - [`canary`] makes secrets that are searched for afterwards, in every
//!   spelling that a standard encoder emits.

#![allow(
    clippy::disallowed_methods,
    reason = "tools are found as the shell finds them; nothing here ships"
)]

pub mod airflow;
pub mod canary;
pub mod clock;
pub mod collector;
pub mod guests;
pub mod identity;
pub mod journal;
pub mod openbao;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod tools;
pub mod upstream;
mod wire;
pub mod world;

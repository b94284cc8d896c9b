//! Write Cofferdam tasks in Rust.
//!
//! A task is one function from a JSON input to a JSON output. It uses secrets
//! through handles, each opened by the name of a grant; the secret itself stays
//! with the host. This is a whole task:
//!
//! ```no_run
//! use cofferdam_guest::{Context, TaskError, http, task};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Input { customer: String }
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Balance { cents: i64 }
//!
//! #[task]
//! fn run(_ctx: Context, input: Input) -> Result<Balance, TaskError> {
//!     let billing = http::Client::open("billing")?;
//!     let answer = billing.get("balance").query("customer", &input.customer).send()?;
//!     if answer.status() == 404 {
//!         return Err(TaskError::skip("no such customer"));
//!     }
//!     let balance: Balance = answer.error_for_status()?.json()?;
//!     log::info!("{} owes {} cents", input.customer, balance.cents);
//!     Ok(balance)
//! }
//! ```
//!
//! Beside it stands a `task.toml` that names what the task needs:
//!
//! ```toml
//! name = "balance"
//!
//! [needs]
//! billing = "http"
//! ```
//!
//! `cofferdam build` compiles both into one component file.
//!
//! - **Log**: the `log` crate's macros arrive as log lines of the task, and so
//!   does what is printed to stdout and stderr.
//! - **Errors**: `?` works on every error; see [`TaskError`] for how it decides
//!   between retry and fail.
//! - **Imports**: what a task does not use is not imported. A component without
//!   the `reveal` import is handed no secret by the host.
//! - **Panics** stop the task as trapped; its message is in the log.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test that fails should stop where it fails"
    )
)]

extern crate self as cofferdam_guest;

#[doc(hidden)]
pub mod bindings;
mod context;
mod export;
pub mod http;
pub mod keys;
mod logger;
mod refusal;
pub mod reveal;
pub mod sql;
mod task_error;

pub use context::{Context, Identity};
pub use refusal::{Denial, Refusal};
pub use task_error::{Next, TaskError};

/// Makes a function the task of this component.
///
/// The function takes a [`Context`] and an input, and returns a `Result` of an
/// output and an error. The input needs `serde::Deserialize` and
/// `schemars::JsonSchema`, the output `serde::Serialize` and `JsonSchema`; the
/// error is [`TaskError`] or anything that turns into it. A component has one
/// task, in a crate with `crate-type = ["cdylib"]`.
///
/// ```compile_fail
/// use cofferdam_guest::{Context, TaskError};
///
/// #[cofferdam_guest::task]
/// async fn run(_ctx: Context, input: String) -> Result<String, TaskError> {
///     Ok(input)
/// }
/// ```
pub use cofferdam_guest_macros::task;

/// For the code that [`macro@task`] expands to; no part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::bindings;
    pub use crate::bindings::cofferdam::task::outcome::Failed;
    pub use crate::bindings::{Guest, export};
    pub use crate::export::{Describe, Run, describe, run};
    pub use wit_bindgen::rt as wit_bindgen_rt;
}

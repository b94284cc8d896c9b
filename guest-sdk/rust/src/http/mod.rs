//! Calls to one HTTP API. The host adds the credential; the task never holds
//! it.
//!
//! ```no_run
//! use cofferdam_guest::{TaskError, http};
//!
//! # fn example() -> Result<(), TaskError> {
//! let billing = http::Client::open("billing")?;
//! let page: serde_json::Value = billing
//!     .get("invoices")
//!     .query("page", 2)
//!     .send()?
//!     .error_for_status()?
//!     .json()?;
//! # Ok(())
//! # }
//! ```

mod client;
mod error;
mod response;

pub use client::{Client, Request};
pub use error::{Error, Transport};
pub use response::Response;

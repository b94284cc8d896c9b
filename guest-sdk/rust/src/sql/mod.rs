//! Statements on one granted database.
//!
//! The task names a grant and sends statements; the host holds the database
//! user, the address and the connection. Statements are plain SQL of the
//! server's kind with parameters `$1`, `$2` …; rows come as structs.
//!
//! ```no_run
//! use cofferdam_guest::sql::{Connection, Error, params};
//! use cofferdam_guest::{Context, TaskError, task};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Input { month: String }
//!
//! #[derive(Deserialize)]
//! struct Open { id: i64, customer: String, amount: String, note: Option<String> }
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Output { reminded: u64 }
//!
//! #[task]
//! fn run(_ctx: Context, input: Input) -> Result<Output, TaskError> {
//!     let warehouse = Connection::open("warehouse")?;
//!
//!     // A row is a struct, by the names of its columns.
//!     let open: Vec<Open> = warehouse
//!         .query(
//!             "SELECT id, customer, amount, note
//!              FROM invoices
//!              WHERE month = $1 AND paid_at IS NULL",
//!             params![input.month],
//!         )?
//!         .collect::<Result<_, _>>()?;
//!
//!     // All of it or nothing: an error rolls back.
//!     let reminded = warehouse.transaction(|transaction| {
//!         let mut reminded = 0;
//!         for invoice in &open {
//!             log::info!("{} owes {}", invoice.customer, invoice.amount);
//!             reminded += transaction.execute(
//!                 "UPDATE invoices SET note = $2 WHERE id = $1",
//!                 params![invoice.id, invoice.note.as_deref().unwrap_or("reminded")],
//!             )?;
//!         }
//!         Ok::<_, Error>(reminded)
//!     })?;
//!     Ok(Output { reminded })
//! }
//! ```
//!
//! - **Rows** are anything that is `serde::Deserialize`: a struct by the names
//!   of the columns, a tuple by their order, or one value when there is one
//!   column. [`Row`] has the table of types.
//! - **Parameters** are a slice of [`Value`]; [`params!`] makes one.
//! - **A statement that fails** says in which of its lines: see [`Error`].
//! - **Large results** are read in batches: [`Rows`] holds one at a time.
//!   While it is open its connection serves nothing else; open a second one, if
//!   the grant allows it, or collect first.
//! - **Bulk data** goes through [`Connection::copy_in`] and
//!   [`Connection::copy_out`], as [`std::io::Write`] and [`std::io::Read`].

mod connection;
mod copy;
mod error;
mod place;
mod row;
mod rows;
mod time;
mod transaction;
mod value;

pub use connection::Connection;
pub use copy::{CopyIn, CopyOut};
pub use error::{ConnectionError, DecodeError, Error, ServerError};
pub use place::Place;
pub use row::Row;
pub use rows::Rows;
pub use time::{Date, Interval, Time, TimeError, Timestamp, Timestamptz};
pub use transaction::{Isolation, Transaction};
pub use value::{Element, Value};

/// The parameters of a statement, in order: `params![id, "text", None::<i64>]`.
///
/// Each is anything that turns into a [`Value`].
#[doc(inline)]
pub use crate::__params as params;

/// See [`sql::params`](crate::sql::params).
#[doc(hidden)]
#[macro_export]
macro_rules! __params {
    ($($value:expr),* $(,)?) => {
        (&[$($crate::sql::Value::from($value)),*] as &[$crate::sql::Value])
    };
}

/// The page's Rust, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../../docs/SQL.md")]
struct Page;

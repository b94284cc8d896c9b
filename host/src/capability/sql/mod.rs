//! The `sql` capability: statements on one database, under a database user
//! that the host holds and the task never sees.
//!
//! Order of a call: gate → audit intent → connection, made at its first use →
//! statement → scrub. The gate is the second fence: the first is what the
//! database itself allows the user.

mod document;
pub mod gate;
mod grant;
mod host;
mod server;

pub use grant::SqlGrant;
pub use host::{
    ConnectionHandle, CopyReaderHandle, CopyWriterHandle, CursorHandle, TransactionHandle,
};
pub use server::Server;

#[cfg(test)]
mod tests;

//! The `sql` capability: statements on one database, under a database user
//! that the host holds and the task never sees.
//!
//! Order of a call: gate → connection, made at its first use → audit intent →
//! statement → scrub. The gate is the second fence: the first is what the
//! database itself allows the user. Making a connection has an intent of its own:
//! address check → audit intent → database user from Vault → log-in.
//!
//! ```text
//! host.rs        the WIT side
//! connection.rs  what a task holds          sessions.rs  what an attempt holds
//! login.rs       from a grant to a session  servers.rs   what the process shares
//! running.rs     one statement's life       cursor, copy, transaction: its kinds
//! gate/          what a statement is        postgres/    how it is run
//! ```

mod connection;
mod copy;
mod cursor;
mod document;
mod fault;
pub mod gate;
mod grant;
mod host;
mod login;
mod postgres;
mod role;
mod running;
mod scrub;
mod server;
mod servers;
mod sessions;
mod settings;
mod transaction;

pub use grant::SqlGrant;
pub use host::{
    ConnectionHandle, CopyReaderHandle, CopyWriterHandle, CursorHandle, TransactionHandle,
};
pub use role::RoleStatements;
pub use server::{Endpoint, Server};
pub use servers::SqlServers;
pub(crate) use sessions::SqlSessions;

#[cfg(test)]
mod tests;

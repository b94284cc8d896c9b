//! Transactions as closures.

use std::ops::Deref;

use super::{Connection, Error};
use crate::bindings::cofferdam::capabilities::sql as host;

/// A transaction under way. It is the connection: what runs on either belongs
/// to it.
#[derive(Debug)]
pub struct Transaction<'c> {
    handle: host::Transaction,
    connection: &'c Connection,
}

/// How far a transaction sees the work of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// Each statement sees what was committed before it.
    ReadCommitted,
    /// All statements see what was committed before the first.
    RepeatableRead,
    /// As if one transaction ran after the other.
    Serializable,
}

impl<'c> Transaction<'c> {
    pub(super) fn new(handle: host::Transaction, connection: &'c Connection) -> Self {
        Self { handle, connection }
    }

    /// Commits what succeeds. What fails, or panics, is rolled back by the host
    /// when the handle goes.
    pub(super) fn run<R, E: From<Error>>(
        self,
        work: impl FnOnce(&Self) -> Result<R, E>,
    ) -> Result<R, E> {
        let result = work(&self)?;
        let committed = self.handle.commit();
        committed.map_err(|error| Error::new(error, &self.connection.subject("commit"), ""))?;
        Ok(result)
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl From<Isolation> for host::Isolation {
    fn from(isolation: Isolation) -> Self {
        match isolation {
            Isolation::ReadCommitted => Self::ReadCommitted,
            Isolation::RepeatableRead => Self::RepeatableRead,
            Isolation::Serializable => Self::Serializable,
        }
    }
}

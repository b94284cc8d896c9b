//! One connection and the statements on it.

use serde::de::DeserializeOwned;

use super::{CopyIn, CopyOut, Error, Isolation, Rows, Transaction, Value};
use crate::Refusal;
use crate::bindings::cofferdam::capabilities::sql as host;

/// A connection to the database of one `[sql.NAME]` grant. It is made at its
/// first use and ends with the attempt at the latest.
#[derive(Debug)]
pub struct Connection {
    handle: host::Connection,
    grant: String,
}

impl Connection {
    /// Opens the database of a grant.
    pub fn open(grant: &str) -> Result<Self, Refusal> {
        match host::open(grant) {
            Ok(handle) => Ok(Self {
                handle,
                grant: grant.to_owned(),
            }),
            Err(failure) => Err(Refusal::new(failure, format!("sql `{grant}`"))),
        }
    }

    /// The rows of a statement, read as they are iterated.
    pub fn query<T: DeserializeOwned>(
        &self,
        statement: &str,
        parameters: &[Value],
    ) -> Result<Rows<'_, T>, Error> {
        let subject = self.subject("query");
        match self.handle.query(statement, &values(parameters)) {
            Ok(cursor) => Ok(Rows::new(cursor, subject, statement)),
            Err(error) => Err(Error::new(error, &subject, statement)),
        }
    }

    /// The one row of a statement: [`Error::NoRow`] or [`Error::ManyRows`] otherwise.
    pub fn query_one<T: DeserializeOwned>(
        &self,
        statement: &str,
        parameters: &[Value],
    ) -> Result<T, Error> {
        self.query_opt(statement, parameters)?.ok_or(Error::NoRow)
    }

    /// The row of a statement that has at most one.
    pub fn query_opt<T: DeserializeOwned>(
        &self,
        statement: &str,
        parameters: &[Value],
    ) -> Result<Option<T>, Error> {
        let mut rows = self.query(statement, parameters)?;
        let first = rows.next().transpose()?;
        if first.is_some() && rows.next().transpose()?.is_some() {
            return Err(Error::ManyRows);
        }
        Ok(first)
    }

    /// Runs a statement; how many rows it touched.
    pub fn execute(&self, statement: &str, parameters: &[Value]) -> Result<u64, Error> {
        let answer = self.handle.execute(statement, &values(parameters));
        answer.map_err(|error| Error::new(error, &self.subject("execute"), statement))
    }

    /// Runs a transaction, at the isolation `read committed`: committed when
    /// the closure succeeds, rolled back when it fails.
    pub fn transaction<R, E: From<Error>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.transaction_at(Isolation::ReadCommitted, work)
    }

    /// The same at another isolation. Above `read committed` be ready for
    /// [`Error::Conflict`]: run the whole again.
    pub fn transaction_at<R, E: From<Error>>(
        &self,
        isolation: Isolation,
        work: impl FnOnce(&Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.begin(isolation, false)?.run(work)
    }

    /// Several statements that see the database as it is at one moment
    /// (`repeatable read`) and cannot change it.
    pub fn snapshot<R, E: From<Error>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.begin(Isolation::RepeatableRead, true)?.run(work)
    }

    /// Begins a bulk load: a `COPY … FROM STDIN`, such as
    /// `COPY orders (id, name) FROM STDIN WITH (FORMAT csv)`.
    pub fn copy_in(&self, statement: &str) -> Result<CopyIn<'_>, Error> {
        let subject = self.subject("copy-in");
        match self.handle.copy_in(statement) {
            Ok(handle) => Ok(CopyIn::new(handle, subject, statement)),
            Err(error) => Err(Error::new(error, &subject, statement)),
        }
    }

    /// Begins a bulk read: a `COPY … TO STDOUT`.
    pub fn copy_out(&self, statement: &str) -> Result<CopyOut<'_>, Error> {
        let subject = self.subject("copy-out");
        match self.handle.copy_out(statement) {
            Ok(handle) => Ok(CopyOut::new(handle, subject, statement)),
            Err(error) => Err(Error::new(error, &subject, statement)),
        }
    }

    fn begin(&self, isolation: Isolation, read_only: bool) -> Result<Transaction<'_>, Error> {
        match self.handle.begin(isolation.into(), read_only) {
            Ok(handle) => Ok(Transaction::new(handle, self)),
            Err(error) => Err(Error::new(error, &self.subject("begin"), "")),
        }
    }

    pub(super) fn subject(&self, operation: &str) -> String {
        format!("{operation} on `{}`", self.grant)
    }
}

fn values(parameters: &[Value]) -> Vec<host::Value> {
    parameters
        .iter()
        .map(|Value(value)| value.clone())
        .collect()
}

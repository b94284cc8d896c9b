//! The WIT side of `sql`. A handle is made before what it stands for: a full
//! table refuses a statement before it is run.

use std::sync::Arc;

use wasmtime::component::Resource;

use super::connection::Connection;
use super::copy::{Reader, Writer};
use super::cursor::{self, Cursor};
use super::transaction::Transaction;
use crate::capability::View;
use crate::capability::bindings::cofferdam::capabilities::{sql, types};
use crate::capability::call::Refusal;

/// An open `[sql.NAME]` grant.
pub struct ConnectionHandle(Arc<Connection>);

/// The rows of a statement; empty while that begins.
pub struct CursorHandle(Option<Cursor>);

/// A transaction; empty while it begins.
pub struct TransactionHandle(Option<Transaction>);

/// A bulk load; empty while it begins.
pub struct CopyWriterHandle(Option<Writer>);

/// A bulk read; empty while it begins.
pub struct CopyReaderHandle(Option<Reader>);

/// A handle whose beginning failed, which no task ever gets.
fn empty() -> wasmtime::Error {
    wasmtime::format_err!("the handle holds nothing")
}

impl View<'_> {
    fn connection(&self, handle: &Resource<ConnectionHandle>) -> wasmtime::Result<Arc<Connection>> {
        Ok(Arc::clone(&self.table.get(handle)?.0))
    }

    /// A place in the table, or why there is none.
    fn reserve<T>(
        &mut self,
        connection: &Connection,
        operation: &'static str,
        handle: T,
    ) -> Result<Resource<T>, sql::Error>
    where
        T: Send + 'static,
    {
        self.table.push(handle).map_err(|_| {
            let refusal = Refusal::LimitReached("handles");
            sql::Error::Denied(
                self.attempt
                    .refuse(connection.label(), operation, "", refusal),
            )
        })
    }

    /// Fills the place, or gives it back.
    fn fill<T: Send + 'static, V>(
        &mut self,
        place: Resource<T>,
        made: Result<V, sql::Error>,
        handle: impl FnOnce(V) -> T,
    ) -> wasmtime::Result<Result<Resource<T>, sql::Error>> {
        match made {
            Ok(value) => {
                *self.table.get_mut(&place)? = handle(value);
                Ok(Ok(place))
            }
            Err(error) => {
                self.table.delete(place)?;
                Ok(Err(error))
            }
        }
    }
}

impl sql::Host for View<'_> {
    async fn open(
        &mut self,
        grant: String,
    ) -> wasmtime::Result<Result<Resource<ConnectionHandle>, types::Failure>> {
        self.attempt.sql().close_left().await;
        let connection = match Connection::open(self.attempt, &grant) {
            Ok(connection) => connection,
            Err(failure) => return Ok(Err(failure)),
        };
        let label = Arc::clone(connection.label());
        Ok(self.table.push(ConnectionHandle(connection)).map_err(|_| {
            let refusal = Refusal::LimitReached("handles");
            self.attempt.refuse(&label, "open", "", refusal)
        }))
    }
}

impl sql::HostConnection for View<'_> {
    async fn query(
        &mut self,
        connection: Resource<ConnectionHandle>,
        statement: String,
        parameters: Vec<sql::Value>,
    ) -> wasmtime::Result<Result<Resource<CursorHandle>, sql::Error>> {
        let connection = self.connection(&connection)?;
        let place = match self.reserve(&connection, "query", CursorHandle(None)) {
            Ok(place) => place,
            Err(error) => return Ok(Err(error)),
        };
        let made = Cursor::open(&connection, statement, &parameters).await;
        self.fill(place, made, |cursor| CursorHandle(Some(cursor)))
    }

    async fn execute(
        &mut self,
        connection: Resource<ConnectionHandle>,
        statement: String,
        parameters: Vec<sql::Value>,
    ) -> wasmtime::Result<Result<u64, sql::Error>> {
        let connection = self.connection(&connection)?;
        Ok(cursor::execute(&connection, statement, &parameters).await)
    }

    async fn begin(
        &mut self,
        connection: Resource<ConnectionHandle>,
        isolation: sql::Isolation,
        read_only: bool,
    ) -> wasmtime::Result<Result<Resource<TransactionHandle>, sql::Error>> {
        let connection = self.connection(&connection)?;
        let place = match self.reserve(&connection, "begin", TransactionHandle(None)) {
            Ok(place) => place,
            Err(error) => return Ok(Err(error)),
        };
        let made = Transaction::begin(&connection, isolation, read_only).await;
        self.fill(place, made, |it| TransactionHandle(Some(it)))
    }

    async fn copy_in(
        &mut self,
        connection: Resource<ConnectionHandle>,
        statement: String,
    ) -> wasmtime::Result<Result<Resource<CopyWriterHandle>, sql::Error>> {
        let connection = self.connection(&connection)?;
        let place = match self.reserve(&connection, "copy_in", CopyWriterHandle(None)) {
            Ok(place) => place,
            Err(error) => return Ok(Err(error)),
        };
        let made = Writer::open(&connection, statement).await;
        self.fill(place, made, |writer| CopyWriterHandle(Some(writer)))
    }

    async fn copy_out(
        &mut self,
        connection: Resource<ConnectionHandle>,
        statement: String,
    ) -> wasmtime::Result<Result<Resource<CopyReaderHandle>, sql::Error>> {
        let connection = self.connection(&connection)?;
        let place = match self.reserve(&connection, "copy_out", CopyReaderHandle(None)) {
            Ok(place) => place,
            Err(error) => return Ok(Err(error)),
        };
        let made = Reader::open(&connection, statement).await;
        self.fill(place, made, |reader| CopyReaderHandle(Some(reader)))
    }

    async fn drop(&mut self, connection: Resource<ConnectionHandle>) -> wasmtime::Result<()> {
        self.table.delete(connection)?.0.release().await;
        Ok(())
    }
}

impl sql::HostCursor for View<'_> {
    async fn columns(
        &mut self,
        cursor: Resource<CursorHandle>,
    ) -> wasmtime::Result<Vec<sql::Column>> {
        let cursor = self.table.get(&cursor)?.0.as_ref().ok_or_else(empty)?;
        Ok(cursor.columns().to_vec())
    }

    async fn read(
        &mut self,
        cursor: Resource<CursorHandle>,
        max_rows: u32,
    ) -> wasmtime::Result<Result<sql::Batch, sql::Error>> {
        let cursor = self.table.get_mut(&cursor)?.0.as_mut().ok_or_else(empty)?;
        Ok(cursor.read(max_rows).await)
    }

    async fn drop(&mut self, cursor: Resource<CursorHandle>) -> wasmtime::Result<()> {
        if let Some(cursor) = self.table.delete(cursor)?.0 {
            cursor.abandon().await;
        }
        Ok(())
    }
}

impl sql::HostTransaction for View<'_> {
    async fn commit(
        &mut self,
        transaction: Resource<TransactionHandle>,
    ) -> wasmtime::Result<Result<(), sql::Error>> {
        let transaction = self.table.get(&transaction)?.0.as_ref();
        Ok(transaction.ok_or_else(empty)?.commit().await)
    }

    async fn rollback(
        &mut self,
        transaction: Resource<TransactionHandle>,
    ) -> wasmtime::Result<Result<(), sql::Error>> {
        let transaction = self.table.get(&transaction)?.0.as_ref();
        Ok(transaction.ok_or_else(empty)?.rollback().await)
    }

    async fn drop(&mut self, transaction: Resource<TransactionHandle>) -> wasmtime::Result<()> {
        if let Some(transaction) = self.table.delete(transaction)?.0 {
            transaction.abandon().await;
        }
        Ok(())
    }
}

impl sql::HostCopyWriter for View<'_> {
    async fn write(
        &mut self,
        writer: Resource<CopyWriterHandle>,
        chunk: Vec<u8>,
    ) -> wasmtime::Result<Result<(), sql::Error>> {
        let writer = self.table.get_mut(&writer)?.0.as_mut().ok_or_else(empty)?;
        Ok(writer.write(chunk).await)
    }

    async fn finish(
        &mut self,
        writer: Resource<CopyWriterHandle>,
    ) -> wasmtime::Result<Result<u64, sql::Error>> {
        let writer = self.table.get_mut(&writer)?.0.as_mut().ok_or_else(empty)?;
        Ok(writer.finish().await)
    }

    async fn drop(&mut self, writer: Resource<CopyWriterHandle>) -> wasmtime::Result<()> {
        if let Some(writer) = self.table.delete(writer)?.0 {
            writer.abandon().await;
        }
        Ok(())
    }
}

impl sql::HostCopyReader for View<'_> {
    async fn read(
        &mut self,
        reader: Resource<CopyReaderHandle>,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, sql::Error>> {
        let reader = self.table.get_mut(&reader)?.0.as_mut().ok_or_else(empty)?;
        Ok(reader.read(max).await)
    }

    async fn drop(&mut self, reader: Resource<CopyReaderHandle>) -> wasmtime::Result<()> {
        if let Some(reader) = self.table.delete(reader)?.0 {
            reader.abandon().await;
        }
        Ok(())
    }
}

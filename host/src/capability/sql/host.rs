//! The WIT side of `sql`. Not served yet: every `open` is refused, so no other
//! function has a handle to be called with.

use wasmtime::component::Resource;

use crate::capability::View;
use crate::capability::bindings::cofferdam::capabilities::{sql, types};
use crate::capability::call::{DenialKind, Refusal, grant_label};
use crate::name::GrantName;

/// An open `[sql.NAME]` grant.
pub struct ConnectionHandle {}

/// The rows of a statement.
pub struct CursorHandle {}

/// A transaction.
pub struct TransactionHandle {}

/// A bulk load.
pub struct CopyWriterHandle {}

/// A bulk read.
pub struct CopyReaderHandle {}

/// No handle is ever made.
fn no_handle<T>() -> wasmtime::Result<T> {
    Err(wasmtime::format_err!("sql is not served yet"))
}

impl sql::Host for View<'_> {
    async fn open(
        &mut self,
        grant: String,
    ) -> wasmtime::Result<Result<Resource<ConnectionHandle>, types::Failure>> {
        let label = grant_label("sql", &grant);
        let name: Option<GrantName> = grant.parse().ok();
        let known = name.is_some_and(|name| self.attempt.parts().grants.sql.contains_key(&name));
        if !known {
            return Ok(Err(self.attempt.refuse(
                &label,
                "open",
                "",
                Refusal::NotGranted,
            )));
        }
        Ok(Err(match self.attempt.begin(&label.into(), "open", "") {
            Ok(call) => call.deny(DenialKind::Internal, "not_served"),
            Err(failure) => failure,
        }))
    }
}

impl sql::HostConnection for View<'_> {
    async fn query(
        &mut self,
        _: Resource<ConnectionHandle>,
        _: String,
        _: Vec<sql::Value>,
    ) -> wasmtime::Result<Result<Resource<CursorHandle>, sql::Error>> {
        no_handle()
    }

    async fn execute(
        &mut self,
        _: Resource<ConnectionHandle>,
        _: String,
        _: Vec<sql::Value>,
    ) -> wasmtime::Result<Result<u64, sql::Error>> {
        no_handle()
    }

    async fn begin(
        &mut self,
        _: Resource<ConnectionHandle>,
        _: sql::Isolation,
        _: bool,
    ) -> wasmtime::Result<Result<Resource<TransactionHandle>, sql::Error>> {
        no_handle()
    }

    async fn copy_in(
        &mut self,
        _: Resource<ConnectionHandle>,
        _: String,
    ) -> wasmtime::Result<Result<Resource<CopyWriterHandle>, sql::Error>> {
        no_handle()
    }

    async fn copy_out(
        &mut self,
        _: Resource<ConnectionHandle>,
        _: String,
    ) -> wasmtime::Result<Result<Resource<CopyReaderHandle>, sql::Error>> {
        no_handle()
    }

    async fn drop(&mut self, handle: Resource<ConnectionHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl sql::HostCursor for View<'_> {
    async fn columns(&mut self, _: Resource<CursorHandle>) -> wasmtime::Result<Vec<sql::Column>> {
        no_handle()
    }

    async fn read(
        &mut self,
        _: Resource<CursorHandle>,
        _: u32,
    ) -> wasmtime::Result<Result<sql::Batch, sql::Error>> {
        no_handle()
    }

    async fn drop(&mut self, handle: Resource<CursorHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl sql::HostTransaction for View<'_> {
    async fn commit(
        &mut self,
        _: Resource<TransactionHandle>,
    ) -> wasmtime::Result<Result<(), sql::Error>> {
        no_handle()
    }

    async fn rollback(
        &mut self,
        _: Resource<TransactionHandle>,
    ) -> wasmtime::Result<Result<(), sql::Error>> {
        no_handle()
    }

    async fn drop(&mut self, handle: Resource<TransactionHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl sql::HostCopyWriter for View<'_> {
    async fn write(
        &mut self,
        _: Resource<CopyWriterHandle>,
        _: Vec<u8>,
    ) -> wasmtime::Result<Result<(), sql::Error>> {
        no_handle()
    }

    async fn finish(
        &mut self,
        _: Resource<CopyWriterHandle>,
    ) -> wasmtime::Result<Result<u64, sql::Error>> {
        no_handle()
    }

    async fn drop(&mut self, handle: Resource<CopyWriterHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl sql::HostCopyReader for View<'_> {
    async fn read(
        &mut self,
        _: Resource<CopyReaderHandle>,
        _: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, sql::Error>> {
        no_handle()
    }

    async fn drop(&mut self, handle: Resource<CopyReaderHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

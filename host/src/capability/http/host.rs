//! The WIT side of `http`.

use wasmtime::component::Resource;

use crate::capability::View;
use crate::capability::bindings::cofferdam::capabilities::{http, types};

/// An open `[http.NAME]` grant.
pub struct ClientHandle {}

/// A response whose body is being read.
pub struct ResponseHandle {}

impl http::Host for View<'_> {
    async fn open(
        &mut self,
        _grant: String,
    ) -> wasmtime::Result<Result<Resource<ClientHandle>, types::Failure>> {
        Err(wasmtime::format_err!("absent"))
    }
}

impl http::HostClient for View<'_> {
    async fn send(
        &mut self,
        _client: Resource<ClientHandle>,
        _request: http::Request,
    ) -> wasmtime::Result<Result<Resource<ResponseHandle>, http::Error>> {
        Err(wasmtime::format_err!("absent"))
    }

    async fn drop(&mut self, client: Resource<ClientHandle>) -> wasmtime::Result<()> {
        self.table.delete(client)?;
        Ok(())
    }
}

impl http::HostResponse for View<'_> {
    async fn status(&mut self, _response: Resource<ResponseHandle>) -> wasmtime::Result<u16> {
        Err(wasmtime::format_err!("absent"))
    }

    async fn headers(
        &mut self,
        _response: Resource<ResponseHandle>,
    ) -> wasmtime::Result<http::Headers> {
        Err(wasmtime::format_err!("absent"))
    }

    async fn read(
        &mut self,
        _response: Resource<ResponseHandle>,
        _max: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, http::Error>> {
        Err(wasmtime::format_err!("absent"))
    }

    async fn drop(&mut self, response: Resource<ResponseHandle>) -> wasmtime::Result<()> {
        self.table.delete(response)?;
        Ok(())
    }
}

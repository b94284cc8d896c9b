//! The WIT side of `reveal`.

use crate::capability::View;
use crate::capability::bindings::cofferdam::capabilities::{reveal, types};

impl reveal::Host for View<'_> {
    async fn reveal(
        &mut self,
        _grant: String,
    ) -> wasmtime::Result<Result<Vec<u8>, types::Failure>> {
        Err(wasmtime::format_err!("absent"))
    }
}

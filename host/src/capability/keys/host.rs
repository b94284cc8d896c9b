//! The WIT side of `keys`.

use wasmtime::component::Resource;

use crate::capability::View;
use crate::capability::bindings::cofferdam::capabilities::{keys, types};

/// An open `[keys.NAME]` grant.
pub struct KeyHandle {}

impl keys::Host for View<'_> {
    async fn open(
        &mut self,
        _grant: String,
    ) -> wasmtime::Result<Result<Resource<KeyHandle>, types::Failure>> {
        Err(wasmtime::format_err!("absent"))
    }
}

impl keys::HostKey for View<'_> {
    async fn sign(
        &mut self,
        _key: Resource<KeyHandle>,
        _message: Vec<u8>,
    ) -> wasmtime::Result<Result<String, types::Failure>> {
        Err(wasmtime::format_err!("absent"))
    }

    async fn verify(
        &mut self,
        _key: Resource<KeyHandle>,
        _message: Vec<u8>,
        _signature: String,
    ) -> wasmtime::Result<Result<bool, types::Failure>> {
        Err(wasmtime::format_err!("absent"))
    }

    async fn hmac(
        &mut self,
        _key: Resource<KeyHandle>,
        _message: Vec<u8>,
    ) -> wasmtime::Result<Result<String, types::Failure>> {
        Err(wasmtime::format_err!("absent"))
    }

    async fn encrypt(
        &mut self,
        _key: Resource<KeyHandle>,
        _plaintext: Vec<u8>,
    ) -> wasmtime::Result<Result<String, types::Failure>> {
        Err(wasmtime::format_err!("absent"))
    }

    async fn decrypt(
        &mut self,
        _key: Resource<KeyHandle>,
        _ciphertext: String,
    ) -> wasmtime::Result<Result<Vec<u8>, types::Failure>> {
        Err(wasmtime::format_err!("absent"))
    }

    async fn drop(&mut self, key: Resource<KeyHandle>) -> wasmtime::Result<()> {
        self.table.delete(key)?;
        Ok(())
    }
}

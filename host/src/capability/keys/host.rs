//! The WIT side of `keys`.

use std::sync::Arc;

use tokio::time::timeout_at;
use wasmtime::component::Resource;

use super::form::is_vault_form;
use super::{KeyOperation, KeysGrant};
use crate::capability::bindings::cofferdam::capabilities::{keys, types};
use crate::capability::call::{DenialKind, Refusal, grant_label};
use crate::capability::{Attempt, View};
use crate::name::GrantName;
use crate::vault::path::TransitKey;
use crate::vault::{Answer, SessionHandle, VaultError};

/// Largest message or plaintext, in bytes. It travels to Vault in base64, and
/// Vault's own limit on a request is 32 MiB; larger data is hashed or wrapped
/// with a data key by whoever has it.
const MAX_MESSAGE: usize = 1 << 20;

/// An open `[keys.NAME]` grant.
pub struct KeyHandle {
    grant: Arc<KeysGrant>,
    label: Arc<str>,
}

/// What an operation takes besides the key.
enum Argument<'a> {
    /// Bytes to work on.
    Message(&'a [u8]),
    /// Bytes and a signature over them.
    Signed(&'a [u8], &'a str),
    /// A text in Vault's form.
    Ciphertext(&'a str),
}

impl keys::Host for View<'_> {
    async fn open(
        &mut self,
        grant: String,
    ) -> wasmtime::Result<Result<Resource<KeyHandle>, types::Failure>> {
        let handle = match KeyHandle::open(self.attempt, &grant) {
            Ok(handle) => handle,
            Err(failure) => return Ok(Err(failure)),
        };
        let label = handle.label.clone();
        Ok(self.table.push(handle).map_err(|_| {
            self.attempt
                .refuse(&label, "open", "", Refusal::LimitReached("handles"))
        }))
    }
}

impl keys::HostKey for View<'_> {
    async fn sign(
        &mut self,
        key: Resource<KeyHandle>,
        message: Vec<u8>,
    ) -> wasmtime::Result<Result<String, types::Failure>> {
        let key = self.table.get(&key)?;
        let argument = Argument::Message(&message);
        let serve = async |vault: SessionHandle, transit: &TransitKey| {
            vault.transit_sign(transit, &message).await
        };
        let signature = key.used(self.attempt, KeyOperation::Sign, argument, serve);
        Ok(signature.await.map(|text| self.scrubbed(&text)))
    }

    async fn verify(
        &mut self,
        key: Resource<KeyHandle>,
        message: Vec<u8>,
        signature: String,
    ) -> wasmtime::Result<Result<bool, types::Failure>> {
        let key = self.table.get(&key)?;
        let argument = Argument::Signed(&message, &signature);
        let serve = async |vault: SessionHandle, transit: &TransitKey| {
            vault.transit_verify(transit, &message, &signature).await
        };
        Ok(key
            .used(self.attempt, KeyOperation::Verify, argument, serve)
            .await)
    }

    async fn hmac(
        &mut self,
        key: Resource<KeyHandle>,
        message: Vec<u8>,
    ) -> wasmtime::Result<Result<String, types::Failure>> {
        let key = self.table.get(&key)?;
        let argument = Argument::Message(&message);
        let serve = async |vault: SessionHandle, transit: &TransitKey| {
            vault.transit_hmac(transit, &message).await
        };
        let digest = key.used(self.attempt, KeyOperation::Hmac, argument, serve);
        Ok(digest.await.map(|text| self.scrubbed(&text)))
    }

    async fn encrypt(
        &mut self,
        key: Resource<KeyHandle>,
        plaintext: Vec<u8>,
    ) -> wasmtime::Result<Result<String, types::Failure>> {
        let key = self.table.get(&key)?;
        let argument = Argument::Message(&plaintext);
        let serve = async |vault: SessionHandle, transit: &TransitKey| {
            vault.transit_encrypt(transit, &plaintext).await
        };
        let ciphertext = key.used(self.attempt, KeyOperation::Encrypt, argument, serve);
        Ok(ciphertext.await.map(|text| self.scrubbed(&text)))
    }

    async fn decrypt(
        &mut self,
        key: Resource<KeyHandle>,
        ciphertext: String,
    ) -> wasmtime::Result<Result<Vec<u8>, types::Failure>> {
        let key = self.table.get(&key)?;
        let argument = Argument::Ciphertext(&ciphertext);
        let serve = async |vault: SessionHandle, transit: &TransitKey| {
            vault.transit_decrypt(transit, &ciphertext).await
        };
        let plaintext = key.used(self.attempt, KeyOperation::Decrypt, argument, serve);
        let secrets = &self.attempt.parts().secrets;
        Ok(plaintext.await.map(|data| {
            let mut clean = Vec::with_capacity(data.len());
            let mut scrubber = secrets.scrubber();
            scrubber.push(data.expose(), &mut clean);
            scrubber.finish(&mut clean);
            clean
        }))
    }

    async fn drop(&mut self, key: Resource<KeyHandle>) -> wasmtime::Result<()> {
        self.table.delete(key)?;
        Ok(())
    }
}

impl View<'_> {
    fn scrubbed(&self, text: &str) -> String {
        self.attempt.parts().secrets.scrub_text(text)
    }
}

impl KeyHandle {
    /// Opens a grant of this name.
    fn open(attempt: &Attempt, name: &str) -> Result<Self, types::Failure> {
        let label = grant_label("keys", name);
        let name: Option<GrantName> = name.parse().ok();
        let grant = name.and_then(|name| attempt.parts().grants.keys.get(&name));
        let Some(grant) = grant else {
            return Err(attempt.refuse(&label, "open", "", Refusal::NotGranted));
        };
        Ok(Self {
            grant: Arc::clone(grant),
            label: label.into(),
        })
    }

    /// Runs one operation through the frame.
    async fn used<T>(
        &self,
        attempt: &Arc<Attempt>,
        operation: KeyOperation,
        argument: Argument<'_>,
        serve: impl AsyncFnOnce(SessionHandle, &TransitKey) -> Result<Answer<T>, VaultError>,
    ) -> Result<T, types::Failure> {
        let word: &'static str = operation.into();
        let key = &self.grant.transit;
        let target = format!("{}/{word}/{}", key.mount, key.key);
        let refuse = |refusal| attempt.refuse(&self.label, word, &target, refusal);
        if !self.grant.allow.contains(&operation) {
            return Err(refuse(Refusal::OutOfScope("operation_not_allowed")));
        }
        argument.check().map_err(refuse)?;

        let mut call = attempt.begin(&self.label, word, &target)?;
        call.detail("bytes_sent", argument.len() as u64);
        let Some(session) = attempt.parts().session.clone() else {
            return Err(call.deny(DenialKind::Internal, "no_authority"));
        };
        match timeout_at(attempt.parts().deadline.into(), serve(session, key)).await {
            Err(_) => Err(call.deny(DenialKind::Expired, "attempt_deadline")),
            Ok(Err(error)) => Err(call.deny_by_vault(&error, DenialKind::InvalidArgument)),
            Ok(Ok(answer)) => {
                call.vault_request(answer.request_id);
                call.done();
                Ok(answer.value)
            }
        }
    }
}

impl Argument<'_> {
    fn check(&self) -> Result<(), Refusal> {
        let (message, text) = match self {
            Self::Message(message) => (*message, None),
            Self::Signed(message, signature) => (*message, Some(*signature)),
            Self::Ciphertext(text) => (&[][..], Some(*text)),
        };
        if message.len() > MAX_MESSAGE {
            return Err(Refusal::LimitReached("message_size"));
        }
        match text {
            Some(text) if !is_vault_form(text) => Err(Refusal::Invalid("not_in_vault_form")),
            _ => Ok(()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Message(message) => message.len(),
            Self::Signed(message, signature) => message.len() + signature.len(),
            Self::Ciphertext(text) => text.len(),
        }
    }
}

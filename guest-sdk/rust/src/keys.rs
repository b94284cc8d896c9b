//! Keys in Vault's transit engine. The key never leaves Vault.

use crate::Refusal;
use crate::bindings::cofferdam::capabilities::keys as host;

/// The key of one `[keys.NAME]` grant. Which operations are allowed, the
/// grant says.
#[derive(Debug)]
pub struct Key {
    handle: host::Key,
    grant: String,
}

impl Key {
    /// Opens the key of a grant.
    pub fn open(grant: &str) -> Result<Self, Refusal> {
        match host::open(grant) {
            Ok(handle) => Ok(Self {
                handle,
                grant: grant.to_owned(),
            }),
            Err(failure) => Err(Refusal::new(failure, format!("key `{grant}`"))),
        }
    }

    /// Signs a message. The signature is in Vault's form, `vault:v1:…`.
    pub fn sign(&self, message: impl AsRef<[u8]>) -> Result<String, Refusal> {
        let answer = self.handle.sign(message.as_ref());
        answer.map_err(|failure| self.refusal("sign", failure))
    }

    /// Whether this key made the signature over this message.
    pub fn verify(&self, message: impl AsRef<[u8]>, signature: &str) -> Result<bool, Refusal> {
        let answer = self.handle.verify(message.as_ref(), signature);
        answer.map_err(|failure| self.refusal("verify", failure))
    }

    /// A keyed digest of a message, in Vault's form.
    pub fn hmac(&self, message: impl AsRef<[u8]>) -> Result<String, Refusal> {
        let answer = self.handle.hmac(message.as_ref());
        answer.map_err(|failure| self.refusal("hmac", failure))
    }

    /// Encrypts; the ciphertext is in Vault's form.
    pub fn encrypt(&self, plaintext: impl AsRef<[u8]>) -> Result<String, Refusal> {
        let answer = self.handle.encrypt(plaintext.as_ref());
        answer.map_err(|failure| self.refusal("encrypt", failure))
    }

    /// Decrypts what [`encrypt`](Self::encrypt) made.
    pub fn decrypt(&self, ciphertext: &str) -> Result<Vec<u8>, Refusal> {
        let answer = self.handle.decrypt(ciphertext);
        answer.map_err(|failure| self.refusal("decrypt", failure))
    }

    fn refusal(
        &self,
        operation: &str,
        failure: crate::bindings::cofferdam::capabilities::types::Failure,
    ) -> Refusal {
        Refusal::new(failure, format!("{operation} with key `{}`", self.grant))
    }
}

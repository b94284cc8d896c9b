//! Using transit keys. The key never leaves Vault.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use vaultrs::api::transit::requests::{
    DecryptDataRequest, EncryptDataRequest, GenerateHmacRequest, SignDataRequest,
    VerifySignedDataRequest,
};
use zeroize::Zeroizing;

use super::client::Call;
use super::error::Operation;
use super::path::TransitKey;
use super::{Answer, SessionHandle, VaultError};
use crate::secret::Secret;

#[derive(Deserialize)]
struct Signed {
    signature: String,
}

#[derive(Deserialize)]
struct Verified {
    valid: bool,
}

#[derive(Deserialize)]
struct Digested {
    hmac: String,
}

#[derive(Deserialize)]
struct Encrypted {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Decrypted {
    plaintext: Secret,
}

impl SessionHandle {
    /// Signs; the signature in Vault's form (`vault:v1:…`). The server hashes
    /// with SHA-256, or as the key's type demands.
    pub async fn transit_sign(
        &self,
        key: &TransitKey,
        message: &[u8],
    ) -> Result<Answer<String>, VaultError> {
        let request = SignDataRequest {
            mount: key.mount.to_string(),
            name: key.key.to_string(),
            input: BASE64_STANDARD.encode(message),
            ..SignDataRequest::default()
        };
        self.transit(
            Call::endpoint(Operation::Key, &request)?,
            |Signed { signature }| Some(signature),
        )
        .await
    }

    /// Verifies a signature in Vault's form. A wrong signature is `false`, one
    /// that is not of the form is [`VaultError::Invalid`].
    pub async fn transit_verify(
        &self,
        key: &TransitKey,
        message: &[u8],
        signature: &str,
    ) -> Result<Answer<bool>, VaultError> {
        let request = VerifySignedDataRequest {
            mount: key.mount.to_string(),
            name: key.key.to_string(),
            input: BASE64_STANDARD.encode(message),
            signature: Some(signature.to_owned()),
            ..VerifySignedDataRequest::default()
        };
        self.transit(
            Call::endpoint(Operation::Key, &request)?,
            |Verified { valid }| Some(valid),
        )
        .await
    }

    /// A keyed digest in Vault's form.
    pub async fn transit_hmac(
        &self,
        key: &TransitKey,
        message: &[u8],
    ) -> Result<Answer<String>, VaultError> {
        let request = GenerateHmacRequest {
            mount: key.mount.to_string(),
            name: key.key.to_string(),
            input: BASE64_STANDARD.encode(message),
            ..GenerateHmacRequest::default()
        };
        self.transit(
            Call::endpoint(Operation::Key, &request)?,
            |Digested { hmac }| Some(hmac),
        )
        .await
    }

    /// Encrypts; the ciphertext in Vault's form.
    pub async fn transit_encrypt(
        &self,
        key: &TransitKey,
        plaintext: &[u8],
    ) -> Result<Answer<String>, VaultError> {
        let request = EncryptDataRequest {
            mount: key.mount.to_string(),
            name: key.key.to_string(),
            plaintext: BASE64_STANDARD.encode(plaintext),
            ..EncryptDataRequest::default()
        };
        self.transit(
            Call::endpoint(Operation::Key, &request)?,
            |Encrypted { ciphertext }| Some(ciphertext),
        )
        .await
    }

    /// Decrypts.
    pub async fn transit_decrypt(
        &self,
        key: &TransitKey,
        ciphertext: &str,
    ) -> Result<Answer<Secret>, VaultError> {
        let request = DecryptDataRequest {
            mount: key.mount.to_string(),
            name: key.key.to_string(),
            ciphertext: ciphertext.to_owned(),
            ..DecryptDataRequest::default()
        };
        self.transit(
            Call::endpoint(Operation::Key, &request)?,
            |Decrypted { plaintext }| decode(&plaintext),
        )
        .await
    }

    async fn transit<T: serde::de::DeserializeOwned, R>(
        &self,
        call: Call,
        read: impl FnOnce(T) -> Option<R>,
    ) -> Result<Answer<R>, VaultError> {
        let (data, request_id) = self.send(call).await?.data::<T>()?;
        let value = read(data).ok_or(VaultError::Protocol {
            operation: Operation::Key,
            fault: "the plaintext is not base64",
        })?;
        Ok(Answer { value, request_id })
    }
}

/// Decodes into a buffer of the right size, so that no copy is left behind.
fn decode(text: &Secret) -> Option<Secret> {
    let mut plain = Zeroizing::new(Vec::with_capacity(base64::decoded_len_estimate(text.len())));
    BASE64_STANDARD.decode_vec(text.expose(), &mut plain).ok()?;
    Some(Secret::new(std::mem::take(&mut *plain)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_or_refuses() {
        let plain = decode(&Secret::new("aGVsbG8=")).expect("base64");
        assert_eq!(plain.expose(), b"hello");
        assert!(decode(&Secret::new("a!")).is_none());
    }
}

//! An issuer of JWTs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

/// Signs JWTs with a fresh P-256 key, which every method takes.
#[derive(Debug)]
pub struct Issuer {
    name: String,
    key: KeyPair,
}

impl Issuer {
    /// An issuer of this name (`iss`).
    pub fn new(name: &str) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            key: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("cannot make a key")?,
        })
    }

    /// The public key, as Vault's `jwt_validation_pubkeys` takes it.
    pub fn public_key_pem(&self) -> String {
        self.key.public_key_pem()
    }

    /// The public key as a JSON Web Key Set (RFC 7517).
    pub fn key_set(&self) -> Result<Value> {
        // SEC 1, uncompressed: a byte that says so, and the two coordinates.
        let coordinates = self.key.public_key_raw().get(1..);
        let (x, y) = (coordinates.and_then(|both| both.split_at_checked(32)))
            .context("the key is no point of P-256")?;
        let part = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        let key = json!({ "kty": "EC", "crv": "P-256", "x": part(x), "y": part(y) });
        Ok(json!({ "keys": [key] }))
    }

    /// A JWT for an audience about a subject that is good for so long.
    pub fn token(&self, audience: &str, subject: &str, life: Duration) -> Result<String> {
        let now = now()?;
        self.sign(&json!({
            "iss": self.name, "aud": audience, "sub": subject,
            "iat": now, "nbf": now, "exp": now + life.as_secs(),
        }))
    }

    /// One that expired an hour ago.
    pub fn expired_token(&self, audience: &str, subject: &str) -> Result<String> {
        let now = now()?;
        self.sign(&json!({
            "iss": self.name, "aud": audience, "sub": subject,
            "iat": now - 7200, "nbf": now - 7200, "exp": now - 3600,
        }))
    }

    /// One with these claims.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!(
            "{}.{}",
            part(&json!({"alg": "ES256", "typ": "JWT"})),
            part(claims)
        );
        // rcgen signs in the form of certificates; a JWT has the bare numbers.
        let random = SystemRandom::new();
        let der = self.key.serialized_der();
        let failed = "the key cannot sign";
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random)
            .ok()
            .context(failed)?;
        let signature = key.sign(&random, text.as_bytes()).ok().context(failed)?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Seconds since 1970.
pub(super) fn now() -> Result<u64> {
    Ok(SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?
        .as_secs())
}

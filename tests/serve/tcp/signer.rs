//! An issuer of tokens, good and bad.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use serde_json::{Value, json};

/// As the configuration of the tests names it.
pub(super) const ISSUER: &str = "https://login.example.com";
/// The same of the audience.
pub(super) const AUDIENCE: &str = "cofferdam-tests";

/// A key with its name.
pub(super) struct Signer {
    pub(super) kid: String,
    key: Key,
}

enum Key {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

pub(super) fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970, and so many from now.
pub(super) fn from_now(seconds: i64) -> i64 {
    jiff::Timestamp::now().as_second() + seconds
}

/// Claims that are taken, about this subject.
pub(super) fn claims(subject: &str) -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": subject,
        "iat": from_now(-60), "nbf": from_now(-60), "exp": from_now(3_600),
    })
}

/// The same with one of them changed, or taken out by null.
pub(super) fn but(subject: &str, claim: &str, value: Value) -> Value {
    let mut claims = claims(subject);
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(claim),
        value => claims
            .as_object_mut()
            .unwrap()
            .insert(claim.to_owned(), value),
    };
    claims
}

impl Signer {
    /// A fresh P-256 key.
    pub(super) fn new(kid: &str) -> Self {
        let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        Self::of(kid, Key::P256(ecdsa(algorithm)))
    }

    /// One of each kind; the RSA key is the same always, since ring makes none.
    pub(super) fn all() -> [Self; 4] {
        let ed = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let rsa = RsaKeyPair::from_pkcs8(include_bytes!("rsa-of-the-tests.pk8")).unwrap();
        [
            Self::new("p256"),
            Self::of(
                "p384",
                Key::P384(ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING)),
            ),
            Self::of(
                "ed",
                Key::Ed25519(Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap()),
            ),
            Self::of("rsa", Key::Rsa(Box::new(rsa))),
        ]
    }

    fn of(kid: &str, key: Key) -> Self {
        Self {
            kid: kid.to_owned(),
            key,
        }
    }

    /// What it may be used with.
    pub(super) fn algorithms(&self) -> &'static [&'static str] {
        match self.key {
            Key::P256(_) => &["ES256"],
            Key::P384(_) => &["ES384"],
            Key::Ed25519(_) => &["EdDSA"],
            Key::Rsa(_) => &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
        }
    }

    /// Its public half.
    pub(super) fn jwk(&self) -> Value {
        let point = |curve: &str, point: &[u8]| {
            let (x, y) = point[1..].split_at((point.len() - 1) / 2);
            json!({ "kty": "EC", "crv": curve, "x": base64(x), "y": base64(y), "kid": self.kid })
        };
        match &self.key {
            Key::P256(key) => point("P-256", key.public_key().as_ref()),
            Key::P384(key) => point("P-384", key.public_key().as_ref()),
            Key::Ed25519(key) => json!({
                "kty": "OKP", "crv": "Ed25519", "x": base64(key.public_key()), "kid": self.kid,
            }),
            Key::Rsa(key) => {
                let parts: signature::RsaPublicKeyComponents<Vec<u8>> = key.public().into();
                json!({ "kty": "RSA", "n": base64(parts.n), "e": base64(parts.e), "kid": self.kid })
            }
        }
    }

    /// What it is as bytes: what a careless server would take for a secret.
    pub(super) fn public_bytes(&self) -> Vec<u8> {
        match &self.key {
            Key::P256(key) | Key::P384(key) => key.public_key().as_ref().to_vec(),
            Key::Ed25519(key) => key.public_key().as_ref().to_vec(),
            Key::Rsa(key) => key.public_key().as_ref().to_vec(),
        }
    }

    /// A token with these claims, with its first algorithm.
    pub(super) fn token(&self, claims: &Value) -> String {
        let algorithm = self.algorithms()[0];
        self.sign(
            &json!({ "alg": algorithm, "typ": "JWT", "kid": self.kid }),
            claims,
        )
    }

    /// One with this header; what `alg` says is done where this key can.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        let text = format!(
            "{}.{}",
            base64(header.to_string()),
            base64(claims.to_string())
        );
        let random = SystemRandom::new();
        let signature = match &self.key {
            Key::P256(key) | Key::P384(key) => key
                .sign(&random, text.as_bytes())
                .unwrap()
                .as_ref()
                .to_vec(),
            Key::Ed25519(key) => key.sign(text.as_bytes()).as_ref().to_vec(),
            Key::Rsa(key) => {
                let padding: &dyn signature::RsaEncoding = match header["alg"].as_str() {
                    Some("RS384") => &signature::RSA_PKCS1_SHA384,
                    Some("RS512") => &signature::RSA_PKCS1_SHA512,
                    Some("PS256") => &signature::RSA_PSS_SHA256,
                    Some("PS384") => &signature::RSA_PSS_SHA384,
                    Some("PS512") => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(padding, &random, text.as_bytes(), &mut signature)
                    .unwrap();
                signature
            }
        };
        format!("{text}.{}", base64(signature))
    }
}

fn ecdsa(algorithm: &'static signature::EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random).unwrap()
}

/// The key set with these.
pub(super) fn key_set(signers: &[&Signer]) -> String {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

/// A token with a secret instead of a key (`HS256`).
pub(super) fn with_secret(kid: &str, secret: &[u8], claims: &Value) -> String {
    let header = json!({ "alg": "HS256", "typ": "JWT", "kid": kid });
    let text = format!(
        "{}.{}",
        base64(header.to_string()),
        base64(claims.to_string())
    );
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    let tag = ring::hmac::sign(&key, text.as_bytes());
    format!("{text}.{}", base64(tag))
}

/// One that nobody signed (`none`, in any spelling).
pub(super) fn unsigned(algorithm: &str, claims: &Value) -> String {
    let header = json!({ "alg": algorithm, "typ": "JWT" });
    format!(
        "{}.{}.",
        base64(header.to_string()),
        base64(claims.to_string())
    )
}

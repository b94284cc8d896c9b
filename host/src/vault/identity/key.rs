//! The keys that JWTs are signed with: ECDSA over P-256 (`ES256`), which every
//! version of both servers takes, as a PEM and in a key set.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The name of the algorithm in the header of a JWT.
pub(super) const ALGORITHM: &str = "ES256";

/// Bytes of a coordinate of the curve.
const COORDINATE: usize = 32;

/// What stands before the point in a `SubjectPublicKeyInfo` (RFC 5480):
/// id-ecPublicKey over prime256v1, then a bit string of 65 bytes.
const SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The form of an uncompressed point (SEC 1).
const UNCOMPRESSED: u8 = 4;

/// A private key. No `Debug`.
pub(super) struct SigningKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

/// The public half of a key, as a JWK has it (RFC 7517).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicKey {
    kty: Ec,
    crv: P256,
    x: String,
    y: String,
    #[serde(rename = "use")]
    purpose: Signature,
    alg: Es256,
    /// The key's thumbprint (RFC 7638).
    kid: String,
}

/// Words of a JWK that have one value here.
macro_rules! word {
    ($name:ident, $word:literal) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        enum $name {
            #[serde(rename = $word)]
            Only,
        }
    };
}
word!(Ec, "EC");
word!(P256, "P-256");
word!(Signature, "sig");
word!(Es256, "ES256");

/// Not a key that can be used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAKey;

impl SigningKey {
    /// A new key, as PEM.
    pub(super) fn generate() -> Result<Zeroizing<String>, NotAKey> {
        let made =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .map_err(|_| NotAKey)?;
        Ok(pem("PRIVATE KEY", made.as_ref()))
    }

    /// Reads a key: PKCS #8 in PEM.
    pub(super) fn from_pem(pem: &Secret) -> Result<Self, NotAKey> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose()).map_err(|_| NotAKey)?;
        let pair = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            der.secret_pkcs8_der(),
            &SystemRandom::new(),
        )
        .map_err(|_| NotAKey)?;
        let public = PublicKey::of_point(pair.public_key().as_ref()).ok_or(NotAKey)?;
        Ok(Self { pair, public })
    }

    /// The public half.
    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The signature as a JWT has it: `r` and `s`, 32 bytes each.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, NotAKey> {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        Ok(signature.map_err(|_| NotAKey)?.as_ref().to_vec())
    }
}

impl PublicKey {
    fn of_point(point: &[u8]) -> Option<Self> {
        let (form, coordinates) = point.split_first()?;
        if *form != UNCOMPRESSED || coordinates.len() != 2 * COORDINATE {
            return None;
        }
        let (x, y) = coordinates.split_at_checked(COORDINATE)?;
        let [x, y] = [x, y].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
        // The members and their order are RFC 7638's.
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        Some(Self {
            kty: Ec::Only,
            crv: P256::Only,
            kid: BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(members)),
            x,
            y,
            purpose: Signature::Only,
            alg: Es256::Only,
        })
    }

    /// What names the key: its thumbprint.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The key as `jwt_validation_pubkeys` takes it; none when the coordinates
    /// are not what [`PublicKey::of_point`] made.
    pub(super) fn pem(&self) -> Option<String> {
        let mut der = SPKI_HEAD.to_vec();
        der.push(UNCOMPRESSED);
        for part in [&self.x, &self.y] {
            let part = BASE64_URL_SAFE_NO_PAD.decode(part).ok()?;
            if part.len() != COORDINATE {
                return None;
            }
            der.extend(part);
        }
        Some(pem("PUBLIC KEY", &der).to_string())
    }
}

/// A PEM text (RFC 7468) with its last line end.
fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(BASE64_STANDARD.encode(der));
    // Room for all of it at once: growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(encoded.len() * 2 + 128));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for (place, character) in encoded.chars().enumerate() {
        if place > 0 && place % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str("\n-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    fn key() -> SigningKey {
        let pem = SigningKey::generate().unwrap();
        SigningKey::from_pem(&Secret::new(pem.as_bytes())).unwrap()
    }

    #[test]
    fn a_signature_is_the_keys_own() {
        let (key, other) = (key(), key());
        let signature = key.sign(b"message").unwrap();
        assert_eq!(signature.len(), 64);
        let public = key.pair.public_key().as_ref();
        let verify = |message: &[u8], public: &[u8]| {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public)
                .verify(message, &signature)
                .is_ok()
        };
        assert!(verify(b"message", public));
        assert!(!verify(b"massage", public));
        assert!(!verify(b"message", other.pair.public_key().as_ref()));
    }

    #[test]
    fn a_public_key_says_nothing_of_the_private_one() {
        let key = key();
        let text = serde_json::to_string(key.public()).unwrap();
        let members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&text).unwrap();
        let mut names: Vec<_> = members.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
        assert_eq!(
            serde_json::from_str::<PublicKey>(&text).unwrap(),
            *key.public()
        );
        assert!(
            serde_json::from_str::<PublicKey>(&text.replacen('{', "{\"d\":\"x\",", 1)).is_err()
        );
        let pem = key.public().pem().unwrap();
        assert!(
            pem.starts_with("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE")
        );
    }

    /// RFC 7638 has its example for RSA; this one is RFC 7517's, section A.1,
    /// with the thumbprint that `jose` and others give.
    #[test]
    fn a_thumbprint_is_made_of_the_required_members() {
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
        let mut point = vec![UNCOMPRESSED];
        point.extend(decode("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"));
        point.extend(decode("4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"));
        let key = PublicKey::of_point(&point).unwrap();
        assert_eq!(key.kid(), "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s");
        point.pop();
        assert!(PublicKey::of_point(&point).is_none());
    }

    #[test]
    fn other_keys_are_refused() {
        let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let p256 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        for (pem, taken) in [
            (ed25519.serialize_pem(), false),
            (p384.serialize_pem(), false),
            (p256.serialize_pem(), true),
            (p256.public_key_pem(), false),
            ("garbage".to_owned(), false),
        ] {
            assert_eq!(SigningKey::from_pem(&Secret::new(pem)).is_ok(), taken);
        }
    }
}

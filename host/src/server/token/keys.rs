//! The public keys of an issuer.

use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey};

/// Keys of one set. Real ones have two or three.
const MOST: usize = 64;

const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// What an issuer signs with.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    /// What names it.
    kid: Option<String>,
    /// With what it may be used; never more than its kind has.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl KeySet {
    /// Reads a JSON Web Key Set. Keys for another purpose, of a kind that is not
    /// taken (`oct`: a shared secret) or too short are passed over.
    ///
    /// # Errors
    /// A fixed text for what is wrong with all of it.
    pub(super) fn parse(text: &[u8]) -> Result<Self, &'static str> {
        let set: JwkSet = serde_json::from_slice(text).map_err(|_| "is not a JSON Web Key Set")?;
        if set.keys.len() > MOST {
            return Err("holds more than 64 keys");
        }
        let keys: Vec<Key> = set.keys.iter().filter_map(Key::read).collect();
        match keys.is_empty() {
            false => Ok(Self(keys)),
            true => Err("holds no key that can be used"),
        }
    }

    /// The keys that a token of this head can be signed with: of its name or,
    /// when it names none, the only one of the set. None when the name is not
    /// known; nothing when the key is not for this algorithm.
    pub(super) fn of<'a>(
        &'a self,
        kid: Option<&'a str>,
        algorithm: Algorithm,
    ) -> Option<Vec<&'a DecodingKey>> {
        let named: Vec<&Key> = match (kid, self.0.as_slice()) {
            (Some(kid), keys) => keys
                .iter()
                .filter(|key| key.kid.as_deref() == Some(kid))
                .collect(),
            (None, [only]) => vec![only],
            (None, _) => Vec::new(),
        };
        let fitting = named
            .iter()
            .filter(|key| key.algorithms.contains(&algorithm));
        (!named.is_empty()).then(|| fitting.map(|key| &key.key).collect())
    }
}

impl Key {
    fn read(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        let is_for_signatures = match &common.public_key_use {
            Some(purpose) => *purpose == PublicKeyUse::Signature,
            None => true,
        } && match &common.key_operations {
            Some(operations) => operations.contains(&KeyOperations::Verify),
            None => true,
        };
        let kind: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => RSA,
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => &[Algorithm::ES256],
                EllipticCurve::P384 => &[Algorithm::ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                &[Algorithm::EdDSA]
            }
            // A secret that both sides have would let everybody with this file
            // make tokens.
            _ => return None,
        };
        let algorithms: Vec<Algorithm> = match common.key_algorithm {
            None => kind.to_vec(),
            Some(own) => kind
                .iter()
                .copied()
                .filter(|one| KeyAlgorithm::from(*one) == own)
                .collect(),
        };
        let key = DecodingKey::from_jwk(jwk).ok()?;
        (is_for_signatures && !algorithms.is_empty()).then(|| Self {
            kid: common.key_id.clone(),
            algorithms,
            key,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rsa(more: &Value) -> Value {
        let mut key = json!({ "kty": "RSA", "n": "sXch", "e": "AQAB" });
        let more = more.as_object().unwrap().clone();
        key.as_object_mut().unwrap().extend(more);
        key
    }

    fn set(keys: &[Value]) -> Result<KeySet, &'static str> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    fn ec(curve: &str) -> Value {
        json!({ "kty": "EC", "crv": curve, "x": "AA", "y": "AA", "kid": "ec" })
    }

    #[test]
    fn a_key_is_for_its_own_algorithms_alone() {
        let keys = set(&[
            rsa(&json!({ "kid": "any" })),
            rsa(&json!({ "kid": "one", "alg": "PS256", "use": "sig" })),
            ec("P-256"),
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "ed" }),
        ])
        .unwrap();
        let fits = |kid, algorithm| keys.of(Some(kid), algorithm).map(|keys| keys.len());
        assert_eq!(fits("any", Algorithm::RS512), Some(1));
        assert_eq!(fits("one", Algorithm::PS256), Some(1));
        assert_eq!(fits("one", Algorithm::RS256), Some(0));
        assert_eq!(fits("ec", Algorithm::ES256), Some(1));
        assert_eq!(fits("ec", Algorithm::ES384), Some(0));
        assert_eq!(fits("ed", Algorithm::EdDSA), Some(1));
        for kid in ["any", "one", "ec", "ed"] {
            assert_eq!(fits(kid, Algorithm::HS256), Some(0), "{kid}");
        }
        assert_eq!(fits("other", Algorithm::RS256), None);
        // Without a name nobody knows which of four.
        assert!(keys.of(None, Algorithm::RS256).is_none());
        let only = set(&[rsa(&json!({}))]).unwrap();
        assert_eq!(only.of(None, Algorithm::RS256).unwrap().len(), 1);
        assert!(only.of(Some("x"), Algorithm::RS256).is_none());
    }

    #[test]
    fn what_signs_nothing_is_passed_over() {
        for useless in [
            rsa(&json!({ "use": "enc" })),
            rsa(&json!({ "key_ops": ["sign"] })),
            rsa(&json!({ "alg": "HS256" })),
            rsa(&json!({ "alg": "none" })),
            rsa(&json!({ "alg": "RSA-OAEP" })),
            ec("P-521"),
            ec("secp256k1"),
            json!({ "kty": "oct", "k": "c2VjcmV0LXNlY3JldA", "kid": "x" }),
            json!({ "kty": "oct", "k": "c2VjcmV0LXNlY3JldA", "alg": "HS256" }),
            json!({ "kty": "new" }),
            json!({}),
        ] {
            let error = set(std::slice::from_ref(&useless)).unwrap_err();
            assert_eq!(error, "holds no key that can be used", "{useless}");
        }
        let many: Vec<Value> = (0..65).map(|_| rsa(&json!({}))).collect();
        assert!(set(&many).is_err());
        for text in ["", "{", "[]", "{}", "{\"keys\":1}", "null"] {
            assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = KeySet::parse(&text);
        }
    }
}

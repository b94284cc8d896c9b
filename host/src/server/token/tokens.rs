//! Whose a token is.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header};
use serde::Deserialize;

use super::renewal::Keys;
use super::{KeySetError, crypto};
use crate::caller::Caller;
use crate::config::JwtConfig;

/// The longest token, in bytes. Those with a person's groups have two or three
/// thousand.
const MAX_TOKEN: usize = 8 << 10;

/// The longest subject, in bytes (OpenID Connect has the same).
const MAX_SUBJECT: usize = 255;

/// Takes tokens of one issuer for one audience.
pub(in crate::server) struct Tokens {
    config: JwtConfig,
    keys: Keys,
}

/// Why a token is not taken: for the operator's log and numbers. The caller
/// learns none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(in crate::server) enum BadToken {
    /// No token, something else, or more than one header.
    Malformed,
    /// Longer than any real one.
    TooLong,
    /// `alg` is none that is taken, or not the key's.
    Algorithm,
    /// Its key is not in the set.
    UnknownKey,
    /// Somebody else signed it.
    Signature,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// Another issuer's.
    Issuer,
    /// For somebody else.
    Audience,
    /// A claim is missing, or is not what it should be.
    Claims,
}

/// What is read of the claims. `exp`, `nbf` and `aud` are the library's.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    iat: Option<f64>,
}

impl Tokens {
    /// Reads or fetches the key set.
    ///
    /// # Errors
    /// [`KeySetError`], unless there was one before.
    pub(in crate::server) async fn load(
        config: &JwtConfig,
        before: Option<&Self>,
    ) -> Result<Self, KeySetError> {
        crypto::install();
        let keys = Keys::load(&config.jwks, before.map(|before| &before.keys)).await?;
        Ok(Self {
            config: config.clone(),
            keys,
        })
    }

    /// Fetches the key set anew, where it is published.
    pub(in crate::server) async fn renew(&self) {
        self.keys.renew().await;
    }

    /// How old the key set is, in seconds.
    pub(in crate::server) fn age(&self) -> u64 {
        self.keys.age().as_secs()
    }

    /// Who bears this token.
    pub(in crate::server) async fn caller(&self, token: &str) -> Result<Caller, BadToken> {
        if token.len() > MAX_TOKEN {
            return Err(BadToken::TooLong);
        }
        // Nothing in the header is believed but which key to try: not `jwk`,
        // `jku` or `x5c`, and what says that it must be understood is not.
        let header = decode_header(token).map_err(|error| match error.kind() {
            // `none`, and whatever else has no name here.
            ErrorKind::Json(_) => BadToken::Algorithm,
            _ => BadToken::Malformed,
        })?;
        if header.crit.is_some() {
            return Err(BadToken::Malformed);
        }
        if !crypto::is_taken(header.alg) {
            return Err(BadToken::Algorithm);
        }
        match self.verified(token, &header) {
            Err(BadToken::UnknownKey) if self.keys.renew_for_a_stranger().await => {
                self.verified(token, &header)
            }
            verified => verified,
        }
    }

    fn verified(&self, token: &str, header: &Header) -> Result<Caller, BadToken> {
        let keys = self.keys.now();
        let keys = keys
            .of(header.kid.as_deref(), header.alg)
            .ok_or(BadToken::UnknownKey)?;
        let mut result = Err(BadToken::Algorithm);
        for key in keys {
            let decoded = decode::<Claims>(token, key, &self.validation(header.alg));
            result = match decoded {
                Ok(decoded) => return self.of_claims(decoded.claims),
                Err(error) => Err(bad(error.kind())),
            };
            if result != Err(BadToken::Signature) {
                break;
            }
        }
        result
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.config.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&[&self.config.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation
    }

    fn of_claims(&self, claims: Claims) -> Result<Caller, BadToken> {
        let Claims { iss, sub, iat } = claims;
        // The library takes a list that holds the issuer, too.
        if iss != self.config.issuer {
            return Err(BadToken::Issuer);
        }
        let latest = jiff::Timestamp::now().as_second() as f64 + self.config.leeway.as_secs_f64();
        if iat.is_some_and(|iat| iat.is_nan() || iat > latest) {
            return Err(BadToken::NotYetValid);
        }
        match sub.len() {
            1..=MAX_SUBJECT if !sub.chars().any(char::is_control) => Ok(Caller::Token {
                issuer: iss,
                subject: sub,
            }),
            _ => Err(BadToken::Claims),
        }
    }
}

fn bad(kind: &ErrorKind) -> BadToken {
    match kind {
        ErrorKind::InvalidSignature => BadToken::Signature,
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::UnsupportedAlgorithm
        | ErrorKind::MissingAlgorithm => BadToken::Algorithm,
        ErrorKind::ExpiredSignature => BadToken::Expired,
        ErrorKind::ImmatureSignature => BadToken::NotYetValid,
        ErrorKind::InvalidIssuer => BadToken::Issuer,
        ErrorKind::InvalidAudience => BadToken::Audience,
        ErrorKind::InvalidToken | ErrorKind::Base64(_) => BadToken::Malformed,
        _ => BadToken::Claims,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;
    use crate::config::KeySetPlace;

    /// RFC 7515, appendix A.2: a key, and what it signed.
    const KEYS: &str = r#"{"keys":[{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}]}"#;
    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    }

    fn tokens() -> Tokens {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.json");
        std::fs::write(&file, KEYS).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let config = JwtConfig {
            jwks: KeySetPlace::File(file),
            issuer: "joe".to_owned(),
            audience: "us".to_owned(),
            leeway: JwtConfig::LEEWAY.default,
        };
        runtime().block_on(Tokens::load(&config, None)).unwrap()
    }

    #[test]
    fn the_standards_own_token_is_signed_well_and_lacks_what_we_want() {
        let (tokens, runtime) = (tokens(), runtime());
        let of = |token: &str| runtime.block_on(tokens.caller(token));
        // Past the signature: it has no audience and no subject.
        assert_eq!(of(TOKEN), Err(BadToken::Claims));
        let (head, signature) = TOKEN.rsplit_once('.').unwrap();
        let other = signature.replacen("cC4", "cC5", 1);
        assert_eq!(of(&format!("{head}.{other}")), Err(BadToken::Signature));
    }

    proptest! {
        #[test]
        fn no_text_panics_or_passes(
            text in "[A-Za-z0-9_.=-]{0,120}",
            header in ".{0,80}",
            claims in ".{0,80}",
            algorithm in "(RS256|PS512|ES256|EdDSA|HS256|none|[a-zA-Z0-9]{0,6})",
        ) {
            let (tokens, runtime) = (tokens(), runtime());
            let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
            let known = format!("{{\"alg\":\"{algorithm}\"}}");
            for token in [
                text.clone(),
                format!("{}.{}.{text}", encode(&header), encode(&claims)),
                format!("{}.{}.{}", encode(&known), encode(&claims), encode(&text)),
            ] {
                prop_assert!(runtime.block_on(tokens.caller(&token)).is_err());
            }
        }
    }
}

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

/// Every algorithm that is taken. Those with a secret (`HS256`) are not, and
/// `none` is none.
const TAKEN: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

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
        if !TAKEN.contains(&header.alg) {
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

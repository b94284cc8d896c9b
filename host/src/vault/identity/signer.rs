//! JWTs that this host signs.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;
use zeroize::Zeroizing;

use super::claims::{About, Claims};
use super::key::ALGORITHM;
use super::{IdentityKeyError, Keyring};
use crate::secret::Secret;
use crate::vault::config::IdentityConfig;

/// What tells the time. Tests have others than the system's.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

/// Signs for one host.
pub(in crate::vault) struct Signer {
    config: IdentityConfig,
    keys: Keyring,
    clock: Clock,
}

/// The first part of a JWT.
#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

impl Signer {
    pub(in crate::vault) fn new(config: IdentityConfig, state: &Path, clock: Clock) -> Self {
        Self {
            keys: Keyring::new(config.key_file.as_deref(), state),
            config,
            clock,
        }
    }

    /// A JWT about an attempt, good for a minute. The key is read anew, so a
    /// rotation needs no restart.
    pub(super) fn sign(&self, about: &About<'_>) -> Result<Secret, IdentityKeyError> {
        let key = self.keys.active()?;
        let header = Header {
            alg: ALGORITHM,
            typ: "JWT",
            kid: key.public().kid(),
        };
        let (iss, aud) = (self.config.issuer.as_str(), self.config.audience.as_str());
        let claims = Claims::new(iss, aud, (self.clock.0)(), about);
        let (header, claims) = (part(&header)?, part(&claims)?);
        // Room for the signature too: growing would leave copies behind.
        let mut jwt = Zeroizing::new(String::with_capacity(header.len() + claims.len() + 128));
        jwt.push_str(&header);
        jwt.push('.');
        jwt.push_str(&claims);
        let signature = key.sign(jwt.as_bytes());
        let signature = signature.map_err(|_| IdentityKeyError::Crypto)?;
        jwt.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
        Ok(Secret::new(jwt.as_bytes()))
    }
}

fn part(value: &impl Serialize) -> Result<String, IdentityKeyError> {
    let json = serde_json::to_vec(value).map_err(|_| IdentityKeyError::Crypto)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(json))
}

impl Clock {
    /// A clock of one's own.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }
}

impl Default for Clock {
    /// The system's.
    fn default() -> Self {
        Self::new(Timestamp::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

//! The secrets that one attempt has in use.

use std::sync::Arc;

use parking_lot::RwLock;

use super::{MIN_SECRET_LEN, Scrubber};
use crate::secret::Secret;

/// Every secret that one attempt has used so far. Clones share the set.
#[derive(Clone, Default)]
pub struct SecretSet(Arc<RwLock<Vec<Secret>>>);

/// A secret too short to be recognised in output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret is shorter than {MIN_SECRET_LEN} bytes and could not be kept out of output")]
pub struct TooShort;

impl SecretSet {
    /// Adds a secret; from now on every scrubber made from this set finds it.
    ///
    /// # Errors
    /// Refuses secrets under [`MIN_SECRET_LEN`] bytes.
    pub fn add(&self, secret: &Secret) -> Result<(), TooShort> {
        if secret.len() < MIN_SECRET_LEN {
            return Err(TooShort);
        }
        let mut known = self.0.write();
        if !known.iter().any(|it| it.expose() == secret.expose()) {
            known.push(secret.clone());
        }
        Ok(())
    }

    /// True while nothing has to be scrubbed.
    pub fn is_empty(&self) -> bool {
        self.0.read().is_empty()
    }

    /// A scrubber for one stream, over the secrets known now.
    pub fn scrubber(&self) -> Scrubber {
        Scrubber::new(self.0.read().clone())
    }

    /// Scrubs one whole text.
    pub fn scrub_text(&self, text: &str) -> String {
        let mut out = Vec::with_capacity(text.len());
        let mut scrubber = self.scrubber();
        scrubber.push(text.as_bytes(), &mut out);
        scrubber.finish(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Whether a secret stands in these bytes.
    pub fn contains_secret(&self, bytes: &[u8]) -> bool {
        let known = self.0.read();
        known
            .iter()
            .any(|secret| memchr::memmem::find(bytes, secret.expose()).is_some())
    }
}

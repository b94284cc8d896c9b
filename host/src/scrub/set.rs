//! The secrets that one attempt has in use.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::Scrubber;
use super::glance::Glance;
use super::patterns::Patterns;
use crate::lock::RwLock;
use crate::secret::{MIN_SECRET_LEN, Secret};

/// Every secret that one attempt has used so far. Clones share the set.
#[derive(Clone, Default)]
pub struct SecretSet(Arc<RwLock<Secrets>>);

#[derive(Default)]
struct Secrets {
    secrets: Vec<Secret>,
    /// Some came near the guest, which may have learnt them.
    shared: bool,
    compiled: Compiled,
    /// Made when first needed, as the automata.
    glance: Option<Arc<Glance>>,
}

/// The automata of the secrets, made when first needed: a response has a
/// scrubber of its own, but the secrets rarely change.
#[derive(Clone, Default)]
enum Compiled {
    /// Secrets came in since.
    #[default]
    Outdated,
    Ready(Arc<Patterns>),
    /// They are too large for an automaton; nothing may leave.
    Impossible,
}

/// A secret too short to be recognised in output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret is shorter than {MIN_SECRET_LEN} bytes and could not be kept out of output")]
pub struct TooShort;

impl SecretSet {
    /// Adds a secret; from now on every scrubber made from this set finds it.
    /// Add what was made from a secret too, such as the value of a Basic header.
    ///
    /// # Errors
    /// Refuses secrets under [`MIN_SECRET_LEN`] bytes.
    pub fn add(&self, secret: &Secret) -> Result<(), TooShort> {
        self.insert(secret, true)
    }

    /// Adds a secret of the host's own, such as a token, that no server which a
    /// guest can reach is ever sent.
    ///
    /// # Errors
    /// As [`SecretSet::add`].
    pub fn add_own(&self, secret: &Secret) -> Result<(), TooShort> {
        self.insert(secret, false)
    }

    fn insert(&self, secret: &Secret, shared: bool) -> Result<(), TooShort> {
        if secret.len() < MIN_SECRET_LEN {
            return Err(TooShort);
        }
        let mut set = self.0.write();
        set.shared |= shared;
        if !set.secrets.iter().any(|s| s.expose() == secret.expose()) {
            set.secrets.push(secret.clone());
            set.compiled = Compiled::Outdated;
            set.glance = None;
        }
        Ok(())
    }

    /// True while nothing has to be scrubbed.
    pub fn is_empty(&self) -> bool {
        self.0.read().secrets.is_empty()
    }

    /// A scrubber for one stream, over the secrets known now.
    pub fn scrubber(&self) -> Scrubber {
        if self.is_empty() {
            return Scrubber::pass();
        }
        match self.compiled() {
            Compiled::Ready(patterns) => Scrubber::new(patterns),
            Compiled::Outdated | Compiled::Impossible => Scrubber::withhold(),
        }
    }

    /// How many secrets there are that a guest could have learnt; it never shrinks.
    /// Those of the host's own count once there is one of another kind.
    pub(super) fn learnable(&self) -> usize {
        let set = self.0.read();
        if set.shared { set.secrets.len() } else { 0 }
    }

    /// Scrubs one whole text that a guest wrote. As long as the set holds the
    /// host's own secrets only, there is none that it could have learnt, and the
    /// automata need not be built.
    pub fn scrub_guest_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.0.read().shared {
            Cow::Owned(self.scrub_text(text))
        } else {
            Cow::Borrowed(text)
        }
    }

    /// Builds the automata now, if need be, so that nobody waits for them later.
    /// Without a secret there is no need: they would take a run that waits 50 kB.
    pub fn prepare(&self) {
        if !self.is_empty() {
            self.compiled();
        }
    }

    /// Scrubs one whole text.
    pub fn scrub_text(&self, text: &str) -> String {
        if !self.may_find(text.as_bytes()) {
            return text.to_owned();
        }
        let scrubbed = self.scrub_bytes(text.as_bytes());
        String::from_utf8(scrubbed)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// Scrubs bytes that are whole.
    pub fn scrub_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        self.scrub(bytes).0
    }

    /// Whether a secret stands in these bytes, in any spelling.
    pub fn contains_secret(&self, bytes: &[u8]) -> bool {
        self.may_find(bytes) && self.scrub(bytes).1 > 0
    }

    fn scrub(&self, bytes: &[u8]) -> (Vec<u8>, u64) {
        if !self.may_find(bytes) {
            return (bytes.to_vec(), 0);
        }
        let mut out = Vec::with_capacity(bytes.len());
        let mut scrubber = self.scrubber();
        scrubber.push(bytes, &mut out);
        let redactions = scrubber.finish(&mut out);
        (out, redactions)
    }

    /// False only when nothing in these bytes, which are whole, is a secret.
    fn may_find(&self, bytes: &[u8]) -> bool {
        if self.is_empty() {
            return false;
        }
        let known = self.0.read().glance.clone();
        known
            .unwrap_or_else(|| {
                let mut set = self.0.write();
                let Secrets {
                    secrets, glance, ..
                } = &mut *set;
                Arc::clone(glance.get_or_insert_with(|| Arc::new(Glance::new(secrets))))
            })
            .may_find(bytes)
    }

    fn compiled(&self) -> Compiled {
        let known = self.0.read().compiled.clone();
        if !matches!(known, Compiled::Outdated) {
            return known;
        }
        let mut set = self.0.write();
        if matches!(set.compiled, Compiled::Outdated) {
            set.compiled = Patterns::new(&set.secrets)
                .map_or(Compiled::Impossible, |p| Compiled::Ready(Arc::new(p)));
        }
        set.compiled.clone()
    }
}

#[cfg(test)]
impl SecretSet {
    /// Whether something needed the automata.
    pub(super) fn is_compiled(&self) -> bool {
        !matches!(self.0.read().compiled, Compiled::Outdated)
    }
}

impl fmt::Debug for SecretSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretSet(***)")
    }
}

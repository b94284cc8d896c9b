//! The streaming matcher.

use super::REDACTED;
use crate::secret::Secret;

/// Scrubs one stream, across chunk borders.
pub struct Scrubber {
    secrets: Vec<Secret>,
    held: Vec<u8>,
    found: u64,
}

impl Scrubber {
    pub(super) fn new(mut secrets: Vec<Secret>) -> Self {
        // The longest first: a rendered header holds the token that it is made of.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self {
            secrets,
            held: Vec::new(),
            found: 0,
        }
    }

    /// Takes the next chunk and appends to `out` what is certainly clean.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(chunk);
        self.redact();
        let longest = self.secrets.first().map_or(0, Secret::len);
        let clean = (self.held.len() + 1).saturating_sub(longest.max(1));
        out.extend(self.held.drain(..clean));
    }

    /// Ends the stream and appends what was held back; the number of redactions.
    pub fn finish(mut self, out: &mut Vec<u8>) -> u64 {
        self.redact();
        out.append(&mut self.held);
        self.found
    }

    fn redact(&mut self) {
        for secret in &self.secrets {
            while let Some(at) = memchr::memmem::find(&self.held, secret.expose()) {
                self.held.splice(at..at + secret.len(), REDACTED.bytes());
                self.found += 1;
            }
        }
    }
}

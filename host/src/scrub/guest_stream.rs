//! What a guest writes piece by piece, for as long as it lives.

use super::{Scrubber, SecretSet};

/// Scrubs one stream of a guest, across pieces and lines, while secrets come in.
///
/// What ends with a line break is let go at once, so that whoever reads along sees
/// it, unless more than three bytes of a spelling stand at its end. Two streams of
/// one guest are strangers: a secret that is spread over both is not found.
pub struct GuestStream {
    secrets: SecretSet,
    /// The secrets that `scrubber` knows.
    known: usize,
    scrubber: Scrubber,
}

impl GuestStream {
    /// A stream of which nothing was written yet.
    pub fn new(secrets: SecretSet) -> Self {
        Self {
            secrets,
            known: 0,
            scrubber: Scrubber::pass(),
        }
    }

    /// Takes the next piece and appends to `out` what may be told.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        // As long as there is nothing that the guest could have learnt, the automata
        // need not be built.
        let known = self.secrets.learnable();
        if known != self.known {
            let before = std::mem::replace(&mut self.scrubber, Scrubber::pass());
            self.scrubber = before.continued(self.secrets.scrubber(), out);
            self.known = known;
        }
        self.scrubber.push(piece, out);
        if piece.ends_with(b"\n") {
            self.scrubber.release(out);
        }
    }

    /// Ends the stream, perhaps in the midst of a word, and appends what is left. A
    /// beginning of a secret that is as long as the shortest secret is redacted.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.known = 0;
        std::mem::replace(&mut self.scrubber, Scrubber::pass()).cut(out);
    }
}

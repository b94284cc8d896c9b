//! The lanes of one set of secrets.

use super::forms::{self, Spelling};
use super::lane::{Cursor, Lane, Read, Span, Token, TooMuch};
use crate::secret::Secret;

/// How a secret is spelled for a lane, and how the lane reads.
type Kind = (fn(&Secret) -> Vec<Spelling>, fn(u8) -> Read);

/// The kinds of lanes.
pub(super) const KINDS: [Kind; 3] = [
    (forms::plain, Read::As),
    (forms::base64, read_base64),
    (forms::digits, read_digits),
];

const LANES: usize = KINDS.len();

/// What is looked for in every view. Built once per set of secrets.
pub(super) struct Patterns([Lane; LANES]);

impl Patterns {
    /// Builds the automata of these secrets.
    pub(super) fn new(secrets: &[Secret]) -> Result<Self, TooMuch> {
        let [plain, base64, digits] = KINDS.map(|(spell, read)| {
            let spellings: Vec<_> = secrets.iter().flat_map(spell).collect();
            Lane::new(&spellings, read)
        });
        Ok(Self([plain?, base64?, digits?]))
    }
}

/// Both alphabets as the standard one (RFC 4648, sections 4 and 5); broken into
/// lines as MIME (RFC 2045) and PEM do.
fn read_base64(byte: u8) -> Read {
    match byte {
        b'-' => Read::As(b'+'),
        b'_' => Read::As(b'/'),
        b'\r' | b'\n' | b' ' | b'\t' => Read::Separator,
        other => Read::As(other),
    }
}

/// `0A:1b`, `0x0a, 0x1b`, `[10, 27]`.
fn read_digits(byte: u8) -> Read {
    match byte {
        b'\r' | b'\n' | b' ' | b'\t' | b':' | b'-' | b',' => Read::Separator,
        other => Read::As(other.to_ascii_lowercase()),
    }
}

/// A place in each lane.
pub(super) struct Cursors([Cursor; LANES]);

impl Cursors {
    /// The beginning.
    pub(super) fn new(patterns: &Patterns) -> Self {
        Self(patterns.0.each_ref().map(Cursor::new))
    }

    /// Takes the places of other cursors.
    pub(super) fn copy_from(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            own.copy_from(other);
        }
    }

    /// Whether no lane has anything under way.
    pub(super) fn are_idle(&self) -> bool {
        self.0.iter().all(Cursor::is_idle)
    }

    /// Where the oldest thing under way starts of which at least so many bytes were read.
    pub(super) fn oldest(&self, bytes: usize) -> Option<u64> {
        let starts = self.0.iter().filter_map(|cursor| cursor.oldest(bytes));
        starts.min()
    }

    /// Reads one byte in every lane.
    pub(super) fn step(&mut self, patterns: &Patterns, token: Token, found: &mut Vec<Span>) {
        for (cursor, lane) in self.0.iter_mut().zip(&patterns.0) {
            found.extend(cursor.step(lane, token));
        }
    }

    /// Reads a stretch of undecoded input in every lane.
    pub(super) fn scan(
        &mut self,
        patterns: &Patterns,
        bytes: &[u8],
        position: u64,
        found: &mut Vec<Span>,
    ) {
        for (cursor, lane) in self.0.iter_mut().zip(&patterns.0) {
            cursor.scan(lane, bytes, position, found);
        }
    }
}

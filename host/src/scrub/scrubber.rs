//! The streaming matcher.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::REDACTED;
use super::escape::Escapes;
use super::forms::LAYERS;
use super::lane::{Span, Token};
use super::patterns::{Cursors, Patterns};
use super::view::{self, View};
use crate::secret::MIN_SECRET_LEN;

/// So much of a beginning is no secret: [`Scrubber::release`] lets it go.
const CRUMB: usize = 3;

/// Scrubs one stream, across chunk borders.
///
/// It holds back only what may still become part of a secret; how much that
/// can be is bounded by the longest spelling of the secrets, not by the stream.
pub struct Scrubber(Mode);

enum Mode {
    /// There is no secret.
    Pass,
    /// The automata could not be built: nothing may leave.
    Withhold { seen: bool },
    /// The ordinary case.
    Match(Box<Matching>),
}

struct Matching {
    patterns: Arc<Patterns>,
    /// The stream as it is.
    plain: Cursors,
    /// Each kind of escape alone: exact whatever stands around a secret.
    single: [View; 3],
    /// All kinds at once, each view upon the one before: escapes upon escapes.
    layered: [View; LAYERS],
    /// Secrets that were found and are not yet written.
    found: Vec<Span>,
    /// How much of the stream was read.
    position: u64,
    /// How much of it was written or redacted.
    written: u64,
    /// Where the last redaction ends; what overlaps it belongs to it.
    redacted: u64,
    redactions: u64,
    /// The input from where the oldest thing under way starts to `position`. What
    /// stands in it before `written` was let go or redacted.
    held: Zeroizing<Vec<u8>>,
}

impl Scrubber {
    pub(super) fn pass() -> Self {
        Self(Mode::Pass)
    }

    pub(super) fn withhold() -> Self {
        Self(Mode::Withhold { seen: false })
    }

    pub(super) fn new(patterns: Arc<Patterns>) -> Self {
        let view = |escapes| View::new(escapes, &patterns);
        Self(Mode::Match(Box::new(Matching {
            plain: Cursors::new(&patterns),
            single: [Escapes::Percent, Escapes::Backslash, Escapes::Entity].map(view),
            layered: [Escapes::Any; LAYERS].map(view),
            found: Vec::new(),
            position: 0,
            written: 0,
            redacted: 0,
            redactions: 0,
            held: Zeroizing::default(),
            patterns,
        })))
    }

    /// Takes the next chunk and appends to `out` what is certainly clean.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        match &mut self.0 {
            Mode::Pass => out.extend_from_slice(chunk),
            Mode::Withhold { seen } => *seen |= !chunk.is_empty(),
            Mode::Match(matching) => matching.push(chunk, out),
        }
    }

    /// Appends what is held back, unless more than [`CRUMB`] bytes of some spelling
    /// stand there: for a pause of the stream, in which people wait for what it said.
    /// A spelling that goes on after the pause is found, and loses its crumb at most.
    pub(super) fn release(&mut self, out: &mut Vec<u8>) {
        if let Mode::Match(matching) = &mut self.0 {
            matching.release(out);
        }
    }

    /// [`Scrubber::finish`] for a stream that was perhaps broken off: what could be the
    /// beginning of a secret, and is as long as the shortest of them, is redacted too.
    pub(super) fn cut(mut self, out: &mut Vec<u8>) -> u64 {
        if let Mode::Match(matching) = &mut self.0 {
            matching.cut();
        }
        self.finish(out)
    }

    /// Goes on with the same stream as `next`, which knows more secrets.
    pub(super) fn continued(self, mut next: Self, out: &mut Vec<u8>) -> Self {
        match (self.0, &mut next.0) {
            (Mode::Match(before), Mode::Match(after)) => after.take_over(&before, out),
            (Mode::Match(before), Mode::Withhold { seen }) => *seen = !before.held.is_empty(),
            (Mode::Withhold { seen: before }, Mode::Withhold { seen }) => *seen = before,
            // Nothing was held back, or nothing may be told.
            (Mode::Pass | Mode::Withhold { .. }, _) | (Mode::Match(_), Mode::Pass) => {}
        }
        next
    }

    /// Ends the stream, appends what was held back, and says how many
    /// redactions there were.
    pub fn finish(self, out: &mut Vec<u8>) -> u64 {
        match self.0 {
            Mode::Pass | Mode::Withhold { seen: false } => 0,
            Mode::Withhold { seen: true } => {
                out.extend_from_slice(REDACTED.as_bytes());
                1
            }
            Mode::Match(matching) => matching.finish(out),
        }
    }
}

impl Matching {
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.read(chunk);
        let start = self.position;
        self.position += chunk.len() as u64;
        let clean = self.oldest(0).unwrap_or(self.position);
        let held = std::mem::take(&mut self.held);
        let input = Input {
            held: &held,
            chunk,
            start,
        };
        self.write(clean, input, out);
        let mut rest = Zeroizing::default();
        input.copy(clean, self.position, &mut rest);
        self.held = rest;
    }

    fn release(&mut self, out: &mut Vec<u8>) {
        if !self.found.is_empty() || self.oldest(CRUMB + 1).is_some() {
            return;
        }
        let input = Input {
            held: &self.held,
            chunk: &[],
            start: self.position,
        };
        input.copy(self.written.max(self.redacted), self.position, out);
        self.written = self.position;
    }

    fn cut(&mut self) {
        if let Some(start) = self.oldest(MIN_SECRET_LEN) {
            self.found.push(Span {
                start,
                end: self.position,
            });
        }
    }

    /// Reads again what another held back of the same stream.
    fn take_over(&mut self, other: &Self, out: &mut Vec<u8>) {
        let start = other.position.saturating_sub(other.held.len() as u64);
        // Positions count from there.
        self.written = other.written.saturating_sub(start);
        self.push(&other.held, out);
    }

    fn finish(mut self, out: &mut Vec<u8>) -> u64 {
        for view in &mut self.single {
            view::end(std::slice::from_mut(view), &self.patterns, &mut self.found);
        }
        view::end(&mut self.layered, &self.patterns, &mut self.found);
        let held = std::mem::take(&mut self.held);
        let input = Input {
            held: &held,
            chunk: &[],
            start: self.position,
        };
        self.write(self.position, input, out);
        self.redactions
    }

    /// Where the oldest thing under way in any view starts of which at least so many
    /// bytes were read.
    fn oldest(&self, bytes: usize) -> Option<u64> {
        let views = self.single.iter().chain(&self.layered);
        views
            .filter_map(|view| view.oldest(bytes))
            .chain(self.plain.oldest(bytes))
            .min()
    }

    fn read(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        let mut at = self.position;
        while !rest.is_empty() {
            let views = self.single.iter().chain(&self.layered);
            if !views.into_iter().any(View::is_awake) {
                // Up to the next character that wakes a view, only the stream
                // itself is read.
                let quiet = memchr::memchr3(b'%', b'\\', b'&', rest).unwrap_or(rest.len());
                let (stretch, after) = rest.split_at(quiet);
                self.plain
                    .scan(&self.patterns, stretch, at, &mut self.found);
                at += quiet as u64;
                rest = after;
            }
            let Some((&byte, after)) = rest.split_first() else {
                return;
            };
            let span = Span {
                start: at,
                end: at + 1,
            };
            self.read_token(Token { byte, span });
            at += 1;
            rest = after;
        }
    }

    fn read_token(&mut self, token: Token) {
        let (patterns, found) = (&*self.patterns, &mut self.found);
        for view in &mut self.single {
            let alone = std::slice::from_mut(view);
            view::feed(alone, &self.plain, token, patterns, found);
        }
        view::feed(&mut self.layered, &self.plain, token, patterns, found);
        self.plain.step(patterns, token, found);
    }

    /// Writes the input up to `clean`, where nothing is under way any more.
    fn write(&mut self, clean: u64, input: Input<'_>, out: &mut Vec<u8>) {
        let mut found = std::mem::take(&mut self.found);
        found.sort_unstable_by_key(|span| span.start);
        found.retain(|span| {
            if span.start >= clean {
                return true;
            }
            if span.end <= self.written {
                // Redacted before the stream was taken over.
                return false;
            }
            if span.start >= self.redacted {
                input.copy(self.written.max(self.redacted), span.start, out);
                self.written = self.written.max(span.start);
                out.extend_from_slice(REDACTED.as_bytes());
                self.redactions += 1;
            }
            self.redacted = self.redacted.max(span.end);
            false
        });
        self.found = found;
        let from = self.written.max(self.redacted);
        input.copy(from, clean, out);
        self.written = from.max(clean);
    }
}

/// The input that is not done with: what was held back, then the chunk.
#[derive(Clone, Copy)]
struct Input<'a> {
    held: &'a [u8],
    chunk: &'a [u8],
    /// Where in the stream the chunk starts.
    start: u64,
}

impl Input<'_> {
    /// Appends the bytes from one position in the stream to another.
    fn copy(&self, from: u64, to: u64, out: &mut Vec<u8>) {
        let before = self.start.saturating_sub(self.held.len() as u64);
        out.extend_from_slice(stretch(self.held, before, from, to));
        out.extend_from_slice(stretch(self.chunk, self.start, from, to));
    }
}

/// The part of `bytes`, which start at `start`, that lies between two positions.
fn stretch(bytes: &[u8], start: u64, from: u64, to: u64) -> &[u8] {
    let index = |position: u64| {
        usize::try_from(position.saturating_sub(start)).map_or(bytes.len(), |i| i.min(bytes.len()))
    };
    bytes.get(index(from)..index(to)).unwrap_or_default()
}

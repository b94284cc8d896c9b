//! A decoded view of the stream.

use super::escape::{Decoded, Escapes, MAX_ESCAPE, Parsed, parse};
use super::lane::{Span, Token};
use super::patterns::{Cursors, Patterns};

/// Decodes one kind of escape, and matches what comes out.
///
/// It sleeps as long as what it would see is what its parent sees; an
/// introducing character wakes it at its parent's place. It sleeps again as
/// soon as nothing is under way.
pub(super) struct View {
    escapes: Escapes,
    awake: bool,
    /// A started escape.
    pending: Vec<Token>,
    cursors: Cursors,
}

impl View {
    /// A sleeping view.
    pub(super) fn new(escapes: Escapes, patterns: &Patterns) -> Self {
        Self {
            escapes,
            awake: false,
            pending: Vec::with_capacity(MAX_ESCAPE),
            cursors: Cursors::new(patterns),
        }
    }

    /// Whether it has to see every byte.
    pub(super) fn is_awake(&self) -> bool {
        self.awake
    }

    /// Where the oldest thing under way starts of which at least so many bytes were
    /// read; a started escape may be some of them.
    pub(super) fn oldest(&self, bytes: usize) -> Option<u64> {
        let started = self.pending.first().map(|token| token.span.start);
        let started = started.filter(|_| self.pending.len() >= bytes);
        let more = bytes.saturating_sub(self.pending.len());
        let matching = self.awake.then(|| self.cursors.oldest(more)).flatten();
        started.into_iter().chain(matching).min()
    }

    /// The next whole token of the view, if there is one.
    fn next(&mut self, end: bool) -> Option<Piece> {
        let first = *self.pending.first()?;
        if !self.escapes.start_with(first.byte) {
            self.pending.remove(0);
            return Some(Piece::Literal(first));
        }
        let mut bytes = [0; MAX_ESCAPE];
        for (slot, token) in bytes.iter_mut().zip(&self.pending) {
            *slot = token.byte;
        }
        let bytes = bytes.get(..self.pending.len()).unwrap_or(&bytes);
        match parse(self.escapes, bytes, end) {
            Parsed::More => None,
            Parsed::Literal => {
                self.pending.remove(0);
                Some(Piece::Literal(first))
            }
            Parsed::Escape { consumed, decoded } => {
                let last = self.pending.drain(..consumed.min(bytes.len())).next_back();
                let span = Span {
                    start: first.span.start,
                    end: last.unwrap_or(first).span.end,
                };
                Some(Piece::Decoded(decoded, span))
            }
        }
    }
}

enum Piece {
    Literal(Token),
    Decoded(Decoded, Span),
}

/// Gives a token to a chain of views, each the parent of the next; `parent`
/// is the place in the view before them, not yet moved by the token.
pub(super) fn feed(
    chain: &mut [View],
    parent: &Cursors,
    token: Token,
    patterns: &Patterns,
    found: &mut Vec<Span>,
) {
    let Some((view, children)) = chain.split_first_mut() else {
        return;
    };
    if !view.awake {
        if !view.escapes.start_with(token.byte) {
            return feed(children, parent, token, patterns, found);
        }
        view.awake = true;
        view.cursors.copy_from(parent);
    }
    if view.pending.is_empty() && !view.escapes.start_with(token.byte) {
        // Most bytes that an awake view sees.
        feed(children, &view.cursors, token, patterns, found);
        view.cursors.step(patterns, token, found);
        view.awake = !view.cursors.are_idle();
        return;
    }
    view.pending.push(token);
    drain(view, children, false, patterns, found);
}

/// Tells a chain of views that the stream ends.
pub(super) fn end(chain: &mut [View], patterns: &Patterns, found: &mut Vec<Span>) {
    if let Some((view, children)) = chain.split_first_mut() {
        drain(view, children, true, patterns, found);
        end(children, patterns, found);
    }
}

fn drain(
    view: &mut View,
    children: &mut [View],
    end: bool,
    patterns: &Patterns,
    found: &mut Vec<Span>,
) {
    while let Some(piece) = view.next(end) {
        match piece {
            Piece::Literal(token) => {
                feed(children, &view.cursors, token, patterns, found);
                view.cursors.step(patterns, token, found);
            }
            Piece::Decoded(decoded, span) => {
                for byte in decoded.as_bytes() {
                    let token = Token { byte: *byte, span };
                    feed(children, &view.cursors, token, patterns, found);
                    view.cursors.step(patterns, token, found);
                }
            }
        }
    }
    view.awake = !view.pending.is_empty() || !view.cursors.are_idle();
}

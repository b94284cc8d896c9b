//! One automaton over one way to read bytes, and a place in it.

use std::collections::VecDeque;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::noncontiguous::NFA;
use aho_corasick::{Anchored, MatchKind};

use super::forms::Spelling;

/// Separators in a row (line breaks with their indentation) that a spelling
/// may hold. More of them end it, so that nobody can make us hold back
/// whatever they like.
const MAX_SEPARATORS: u32 = 64;

/// A stretch of the input, by position in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Position of the first byte.
    pub(super) start: u64,
    /// Position after the last byte.
    pub(super) end: u64,
}

/// A byte of a view and the input that it came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    /// The byte.
    pub(super) byte: u8,
    /// Where it came from.
    pub(super) span: Span,
}

/// How a lane reads a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// As this byte.
    As(u8),
    /// Not at all: it may stand between any two others.
    Separator,
}

/// An automaton and the way it reads.
pub(super) struct Lane {
    nfa: NFA,
    start: StateID,
    /// By state: the length of the prefix that it stands for, and that of the
    /// longest spelling that ends there.
    states: Vec<(usize, usize)>,
    read: [Read; 256],
    /// The bytes that lead out of the start state.
    first: [bool; 256],
}

/// The spellings do not fit into an automaton.
#[derive(Debug)]
pub(super) struct TooMuch;

impl Lane {
    /// Builds the automaton. The spellings must be what `read` makes of them.
    pub(super) fn new(spellings: &[Spelling], read: fn(u8) -> Read) -> Result<Self, TooMuch> {
        let nfa = NFA::builder()
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .build(spellings.iter().map(|s| s.as_slice()))
            .map_err(|_| TooMuch)?;
        let start = nfa.start_state(Anchored::No).map_err(|_| TooMuch)?;
        let mut lane = Self {
            start,
            states: Vec::new(),
            read: [Read::Separator; 256],
            first: [false; 256],
            nfa,
        };
        for spelling in spellings {
            lane.note_states(spelling);
        }
        for byte in 0..=u8::MAX {
            let as_read = read(byte);
            let leads_out = matches!(as_read, Read::As(b) if lane.nfa.next_state(Anchored::No, start, b) != start);
            if let (Some(slot), Some(first)) = (
                lane.read.get_mut(usize::from(byte)),
                lane.first.get_mut(usize::from(byte)),
            ) {
                *slot = as_read;
                *first = leads_out;
            }
        }
        Ok(lane)
    }

    /// Every state but the start is a prefix of a spelling: walking them all
    /// finds every state's depth.
    fn note_states(&mut self, spelling: &Spelling) {
        let mut state = self.start;
        for (depth, byte) in spelling.iter().enumerate() {
            state = self.nfa.next_state(Anchored::No, state, *byte);
            let longest = (0..self.nfa.match_len(state))
                .map(|i| self.nfa.pattern_len(self.nfa.match_pattern(state, i)))
                .max()
                .unwrap_or(0);
            let index = state.as_usize();
            if self.states.len() <= index {
                self.states.resize(index + 1, (0, 0));
            }
            if let Some(slot) = self.states.get_mut(index) {
                *slot = (depth + 1, longest);
            }
        }
    }

    fn state(&self, state: StateID) -> (usize, usize) {
        self.states.get(state.as_usize()).copied().unwrap_or((0, 0))
    }

    fn read(&self, byte: u8) -> Read {
        self.read
            .get(usize::from(byte))
            .copied()
            .unwrap_or(Read::Separator)
    }

    fn is_first(&self, byte: u8) -> bool {
        self.first.get(usize::from(byte)).copied().unwrap_or(true)
    }
}

/// A place in a lane's automaton, with the input of the prefix read so far.
pub(super) struct Cursor {
    state: StateID,
    /// Where each byte of the prefix starts; empty at the start state.
    prefix: VecDeque<u64>,
    separators: u32,
}

impl Cursor {
    /// The beginning.
    pub(super) fn new(lane: &Lane) -> Self {
        Self {
            state: lane.start,
            prefix: VecDeque::new(),
            separators: 0,
        }
    }

    /// Takes another cursor's place.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.state = other.state;
        // Mostly there is nothing to copy.
        self.prefix.clear();
        self.prefix.extend(&other.prefix);
        self.separators = other.separators;
    }

    /// Whether no prefix is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.prefix.is_empty()
    }

    /// Where the prefix under way starts, if at least so many bytes of it were read.
    pub(super) fn oldest(&self, bytes: usize) -> Option<u64> {
        let start = self.prefix.front().copied()?;
        (self.prefix.len() >= bytes).then_some(start)
    }

    /// Reads one byte; the longest spelling that ends with it.
    pub(super) fn step(&mut self, lane: &Lane, token: Token) -> Option<Span> {
        if self.is_idle() && !lane.is_first(token.byte) {
            return None;
        }
        let byte = match lane.read(token.byte) {
            Read::As(byte) => byte,
            Read::Separator => {
                self.separators += 1;
                if self.separators > MAX_SEPARATORS {
                    self.reset(lane);
                }
                return None;
            }
        };
        self.separators = 0;
        self.state = lane.nfa.next_state(Anchored::No, self.state, byte);
        let (depth, longest) = lane.state(self.state);
        self.prefix.push_back(token.span.start);
        while self.prefix.len() > depth {
            self.prefix.pop_front();
        }
        let start = self.prefix.get(depth.checked_sub(longest)?).copied()?;
        (longest > 0).then_some(Span {
            start,
            end: token.span.end,
        })
    }

    /// Reads a stretch of undecoded input that starts at `position`.
    pub(super) fn scan(&mut self, lane: &Lane, bytes: &[u8], position: u64, found: &mut Vec<Span>) {
        let mut rest = bytes.iter();
        let mut at = position;
        loop {
            if self.is_idle() {
                // Most of any text is passed here.
                let Some(skipped) = rest.as_slice().iter().position(|b| lane.is_first(*b)) else {
                    return;
                };
                at += skipped as u64;
                rest = rest.as_slice().get(skipped..).unwrap_or_default().iter();
            }
            let Some(byte) = rest.next() else { return };
            let span = Span {
                start: at,
                end: at + 1,
            };
            found.extend(self.step(lane, Token { byte: *byte, span }));
            at += 1;
        }
    }

    fn reset(&mut self, lane: &Lane) {
        self.state = lane.start;
        self.prefix.clear();
        self.separators = 0;
    }
}

//! A quick look at a short text, which nearly always shows that no secret can be
//! in it: most texts of an attempt are not worth what building the automata takes.

use zeroize::Zeroizing;

use super::escape::Escapes;
use super::lane::Read;
use super::patterns::KINDS;
use crate::secret::Secret;

/// How many bytes of a spelling are compared: a word of the machine, and no
/// spelling is shorter than the shortest secret, which has as many.
const BEGINNING: usize = size_of::<u64>();

/// Longer texts are not looked at: the automata skip faster through them.
const LONGEST: usize = 4096;

/// More spellings of a lane are not compared, each with each byte: an attempt
/// that replaced a hundred credentials has as many.
const MOST: usize = 256;

/// How the spellings of one set of secrets begin, lane by lane.
pub(super) struct Glance(Vec<Beginnings>);

struct Beginnings {
    read: fn(u8) -> Read,
    /// The first bytes of each spelling.
    words: Zeroizing<Vec<u64>>,
    /// The very first byte of one of them.
    first: [bool; 256],
    /// A spelling is too short to be told by its beginning, or there are so many
    /// that the automaton is faster.
    unfit: bool,
}

impl Glance {
    /// Notes how the spellings of these secrets begin.
    pub(super) fn new(secrets: &[Secret]) -> Self {
        let lanes = KINDS.iter().map(|(spell, read)| {
            let mut lane = Beginnings {
                read: *read,
                words: Zeroizing::default(),
                first: [false; 256],
                unfit: false,
            };
            for spelling in secrets.iter().flat_map(spell) {
                lane.add(&spelling);
            }
            lane
        });
        Self(lanes.collect())
    }

    /// False only when no secret stands in this text, in any spelling.
    pub(super) fn may_find(&self, text: &[u8]) -> bool {
        text.len() > LONGEST
            || text.iter().any(|byte| Escapes::Any.start_with(*byte))
            || self.0.iter().any(|lane| lane.may_find(text))
    }
}

impl Beginnings {
    fn add(&mut self, spelling: &[u8]) {
        match spelling.first_chunk::<BEGINNING>() {
            Some(beginning) => {
                let [first, ..] = *beginning;
                if let Some(slot) = self.first.get_mut(usize::from(first)) {
                    *slot = true;
                }
                self.words.push(u64::from_be_bytes(*beginning));
            }
            None => self.unfit = true,
        }
        self.unfit |= self.words.len() > MOST;
    }

    fn may_find(&self, text: &[u8]) -> bool {
        let mut word: u64 = 0;
        self.unfit
            || text.iter().any(|byte| match (self.read)(*byte) {
                Read::As(byte) => {
                    word = word << 8 | u64::from(byte);
                    let [first, ..] = word.to_be_bytes();
                    let is_first = self.first.get(usize::from(first));
                    is_first == Some(&true) && self.words.contains(&word)
                }
                Read::Separator => false,
            })
    }
}

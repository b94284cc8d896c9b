//! The members that every line has, read as this host writes them.
//!
//! A line of ours begins with the same members in the same order and holds
//! nothing that JSON allows and we never write (blanks, fractions, names with
//! escapes). `read_ours` reads such a line in one pass, faster than a parser that
//! is ready for everything. It gives up on any other line, and
//! [`Head::read`] then asks the parser: the two never disagree on a line that
//! both accept.

use std::borrow::Cow;

use serde::Deserialize;

/// The members that every line has.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Head<'a> {
    /// Format.
    pub(super) v: u32,
    /// Sequence number, from 1.
    pub(super) seq: u64,
    /// RFC 3339.
    #[serde(borrow)]
    pub(super) time: Cow<'a, str>,
    /// The run that it belongs to; none for the chain's own.
    #[serde(borrow)]
    pub(super) run: Option<Cow<'a, str>>,
    /// Which event.
    #[serde(borrow)]
    pub(super) event: Cow<'a, str>,
}

/// The names of [`Head`]'s members: none may come twice.
const NAMES: [&[u8]; 5] = [b"v", b"seq", b"time", b"run", b"event"];

/// Objects and lists within each other; ours have three.
const DEPTH: usize = 8;

impl<'a> Head<'a> {
    /// Reads a whole line: all of it must be one JSON object.
    pub(super) fn read(line: &'a [u8]) -> Option<Self> {
        Self::read_ours(line).or_else(|| serde_json::from_slice(line).ok())
    }

    /// Reads a line in the form that we write; none for any other.
    fn read_ours(line: &'a [u8]) -> Option<Self> {
        let mut text = Text(line);
        text.literal(b"{\"v\":")?;
        let v = text.number()?.try_into().ok()?;
        text.literal(b",\"seq\":")?;
        let seq = text.number()?;
        text.literal(b",\"time\":\"")?;
        let time = text.plain()?;
        text.literal(b",\"run\":")?;
        let run = match text.literal(b"null") {
            Some(()) => None,
            None => {
                text.literal(b"\"")?;
                Some(text.plain()?)
            }
        };
        text.literal(b",\"event\":\"")?;
        let event = text.plain()?;
        while text.literal(b",\"").is_some() {
            let name = text.plain_bytes()?;
            if NAMES.contains(&name) {
                return None;
            }
            text.literal(b":")?;
            text.value(DEPTH)?;
        }
        text.literal(b"}")?;
        text.0.is_empty().then_some(Self {
            v,
            seq,
            time: time.into(),
            run: run.map(Cow::from),
            event: event.into(),
        })
    }
}

/// What is left of a line.
struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    fn literal(&mut self, expected: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    /// What stands before the next quote or backslash.
    fn until_mark(&mut self) -> Option<&'a [u8]> {
        let len = memchr::memchr2(b'"', b'\\', self.0)?;
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        is_plain(taken).then_some(taken)
    }

    /// Digits, without a needless zero in front.
    fn digits(&mut self) -> Option<&'a [u8]> {
        let len = self.0.iter().position(|b| !b.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        match digits {
            [] | [b'0', _, ..] => None,
            _ => Some(digits),
        }
    }

    fn number(&mut self) -> Option<u64> {
        let digits = self.digits()?;
        digits.iter().try_fold(0_u64, |number, digit| {
            let digit = u64::from(digit.wrapping_sub(b'0'));
            number.checked_mul(10)?.checked_add(digit)
        })
    }

    /// The rest of a text after its first quote; nothing in it is escaped.
    fn plain(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.plain_bytes()?).ok()
    }

    fn plain_bytes(&mut self) -> Option<&'a [u8]> {
        let text = self.until_mark()?;
        self.literal(b"\"")?;
        Some(text)
    }

    /// The rest of a text after its first quote.
    fn string(&mut self) -> Option<()> {
        loop {
            self.until_mark()?;
            let (byte, rest) = self.0.split_first()?;
            match byte {
                b'"' => {
                    self.0 = rest;
                    return Some(());
                }
                b'\\' => match rest.split_first()? {
                    (b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', rest) => self.0 = rest,
                    _ => return None,
                },
                _ => return None,
            }
        }
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        match first {
            b'"' => {
                self.0 = rest;
                self.string()
            }
            b'{' => {
                self.0 = rest;
                self.items(depth.checked_sub(1)?, b"}", |text, depth| {
                    text.literal(b"\"")?;
                    text.string()?;
                    text.literal(b":")?;
                    text.value(depth)
                })
            }
            b'[' => {
                self.0 = rest;
                self.items(depth.checked_sub(1)?, b"]", Self::value)
            }
            b'n' => self.literal(b"null"),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'-' => {
                self.0 = rest;
                self.whole_number()
            }
            _ => self.whole_number(),
        }
    }

    /// Nothing of the number may follow it: we write no fractions.
    fn whole_number(&mut self) -> Option<()> {
        self.digits()?;
        let follows = self.0.first();
        follows
            .is_some_and(|b| matches!(b, b',' | b'}' | b']'))
            .then_some(())
    }

    /// What stands between two brackets.
    fn items(
        &mut self,
        depth: usize,
        end: &[u8],
        item: impl Fn(&mut Self, usize) -> Option<()>,
    ) -> Option<()> {
        if self.literal(end).is_some() {
            return Some(());
        }
        loop {
            item(self, depth)?;
            if self.literal(b",").is_none() {
                return self.literal(end);
            }
        }
    }
}

/// Whether every byte is ASCII and no control character. All are looked at, for
/// then many are looked at together.
fn is_plain(text: &[u8]) -> bool {
    text.iter()
        .fold(true, |so_far, byte| so_far & matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const OURS: &str = concat!(
        r#"{"v":1,"seq":70,"time":"2026-11-24T02:31:05.204118Z","run":"019a","event":"outcome","#,
        r#""of":3,"outcome":"ok","reason":null,"vault_request_ids":["a","b"],"n":-1,"list":[],"#,
        r#""detail":{"status":200,"deep":{"er":[true,false]}},"target":"GET \"x\" \\ \n","#,
        r#""micros":0,"prev":"00","hash":"11"}"#
    );

    /// Both ways of reading, which must agree where the quick one has a verdict.
    fn agree(line: &[u8]) -> bool {
        let quick = Head::read_ours(line);
        let full: Option<Head<'_>> = serde_json::from_slice(line).ok();
        assert_eq!(Head::read(line), full, "{}", String::from_utf8_lossy(line));
        quick.is_some()
    }

    #[test]
    fn what_we_write_is_read_quickly() {
        assert!(agree(OURS.as_bytes()));
        let head = Head::read_ours(OURS.as_bytes()).unwrap();
        assert_eq!((head.v, head.seq, head.event.as_ref()), (1, 70, "outcome"));
        assert_eq!(head.run.as_deref(), Some("019a"));
        let chain = OURS.replace(r#""019a""#, "null");
        assert!(agree(chain.as_bytes()));
        assert_eq!(Head::read(chain.as_bytes()).unwrap().run, None);
    }

    #[test]
    fn lines_of_a_real_chain_are_read_quickly() {
        let folder = tempfile::tempdir().unwrap();
        let log = super::super::AuditLog::create(folder.path()).unwrap();
        log.recorder("run-1")
            .record(&super::super::Event::RunEnded {
                outcome: "done",
                limits: &["memory".to_owned()],
                exit: 5,
                cancelled_by: None,
            })
            .unwrap();
        let text = std::fs::read_to_string(log.path()).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| agree(line.as_bytes())), "{text}");
    }

    #[test]
    fn what_is_not_ours_is_left_to_the_parser() {
        for (from, to) in [
            (r#""v":1"#, r#""v":01"#),
            (r#""v":1"#, r#""v":4294967296"#),
            (r#""seq":70"#, r#""seq":18446744073709551616"#),
            (r#""seq":70"#, r#""seq":7.0"#),
            (r#""seq":70"#, r#""seq": 70"#),
            (r#""of":3"#, r#""seq":3"#),
            (r#""of":3"#, r#""\u0073eq":3"#),
            (r#""of":3"#, r#""of":3.5"#),
            (r#""of":3"#, r#""of":"é""#),
            (r#""of":3"#, r#""of":"\u00e9""#),
            (r#""of":3"#, r#""of":"\x""#),
            (r#""of":3"#, r#""of":-"#),
            (r#""of":3"#, r#""of":tru"#),
            (r#""of":3"#, r#""of":[1,]"#),
            (r#""of":3"#, "\"of\":\"\t\""),
            (r#""of":3"#, r#""of":[[[[[[[[[1]]]]]]]]]"#),
            (r#""run":"019a","#, ""),
            (r#""run":"019a""#, r#""run":7"#),
            (r#""hash":"11"}"#, r#""hash":"11"}}"#),
            (r#""hash":"11"}"#, r#""hash":"11""#),
            (r#""hash":"11"}"#, r#""hash":"11"} "#),
        ] {
            let line = OURS.replacen(from, to, 1);
            assert_ne!(line, OURS, "{from}");
            assert!(!agree(line.as_bytes()), "{to}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_change_makes_the_two_disagree(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), prop::sample::select(
                b"\"\\{}[]:,0179-.eEuntrfl \t\x7f\x80\xc3".to_vec()), 0..3_u8), 1..4)
        ) {
            let mut line = OURS.as_bytes().to_vec();
            for (at, byte, how) in changes {
                let at = at.index(line.len());
                match how {
                    0 => line[at] = byte,
                    1 => line.insert(at, byte),
                    _ => { line.remove(at); }
                }
            }
            agree(&line);
        }

        #[test]
        fn any_text_in_a_member_is_read_the_same(name in ".{0,8}", text in ".{0,40}", number: i64) {
            let members = json!({"a": text, name: [number, text]}).to_string();
            let tail = format!(",{}", members.strip_prefix('{').unwrap());
            agree(OURS.replace(r#","prev":"00","hash":"11"}"#, &tail).as_bytes());
        }
    }
}

//! Checking a chain.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Serialize;

use super::files::{Raw, next_line};
use super::line::{Hash, Line, NO_HASH};
use super::{AuditError, Link};
use crate::digest::Digest;

/// Findings that are kept in detail; the rest is counted.
const MAX_FINDINGS: usize = 100;

/// How much of a file is read at once, in bytes.
const READ: usize = 256 << 10;

/// Gaps that may still be filled by lines further down.
const MAX_GAPS: usize = 64;

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FindingKind {
    /// It is not a line of this format.
    Malformed,
    /// Its bytes do not have its hash.
    Changed,
    /// It does not name the hash of the line before it.
    Broken,
    /// Lines that belong before it are not in the file.
    Missing,
    /// It belongs further up.
    Reordered,
    /// Its sequence number was there before, or it belongs before the start.
    Inserted,
    /// The file ends within it.
    Torn,
    /// No line has the head that was asked for.
    HeadNotFound,
    /// The line that the next chain names is not there.
    Unlinked,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The line in the file, from 1.
    pub line: u64,
    /// The sequence number that the line bears, when it can be read.
    pub seq: Option<u64>,
    /// What is wrong.
    pub kind: FindingKind,
    /// The same in words.
    pub message: String,
}

/// The place of the head that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Anchor {
    /// The line in the file, from 1.
    pub line: u64,
    /// Its sequence number.
    pub seq: u64,
}

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct ChainReport {
    /// Lines of the file, a torn one included.
    pub lines: u64,
    /// Hash of the last line that is whole, as `--head` takes it.
    pub head: Option<Digest>,
    /// Where the head that was asked for stands.
    pub anchor: Option<Anchor>,
    /// The first findings, in the order of the lines.
    pub findings: Vec<Finding>,
    /// How many there are in all.
    pub findings_total: u64,
}

impl ChainReport {
    /// Whether every line is as it was written.
    pub fn is_consistent(&self) -> bool {
        self.findings_total == 0
    }

    /// Adds the finding that the head is not there.
    pub fn head_not_found(&mut self) {
        let (line, message) = (
            self.lines,
            "no line has the head that was given: the end was cut off or rewritten".to_owned(),
        );
        self.findings.push(Finding {
            line,
            seq: None,
            kind: FindingKind::HeadNotFound,
            message,
        });
        self.findings_total += 1;
    }
}

/// Reads a head as a run's report gives it, with or without `sha256:`.
///
/// # Errors
/// When it is not 64 lower-case hex digits.
pub fn parse_head(text: &str) -> Result<Digest, AuditError> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    format!("sha256:{digits}")
        .parse()
        .map_err(|_| AuditError::InvalidHead)
}

/// Checks one file in one pass, in constant memory. That the head is not there
/// is no finding yet: it may stand in another file of the folder. `links` are
/// what later chains say about this one.
///
/// # Errors
/// When the file cannot be read.
pub fn verify(
    path: &Path,
    head: Option<&Digest>,
    links: &[&Link],
) -> Result<ChainReport, AuditError> {
    File::open(path)
        .and_then(|file| verify_lines(BufReader::with_capacity(READ, file), head, links))
        .map_err(|source| AuditError::Read {
            path: path.to_owned(),
            source,
        })
}

/// Checks the lines of a chain.
pub(super) fn verify_lines(
    mut input: impl BufRead,
    head: Option<&Digest>,
    links: &[&Link],
) -> io::Result<ChainReport> {
    let mut checker = Checker::new(head, links);
    let mut buffer = Vec::new();
    while let Some(raw) = next_line(&mut input, &mut buffer)? {
        checker.line += 1;
        match raw {
            Raw::Line(bytes) => checker.check(bytes),
            Raw::TooLong => checker.malformed("the line is longer than any audit line"),
            Raw::Torn(bytes) => {
                let seq = Line::parse(bytes).map(|line| line.head.seq);
                checker.find(
                    seq,
                    FindingKind::Torn,
                    "the file ends within this line: a crash while it was written, or a cut",
                );
            }
        }
    }
    Ok(checker.finish())
}

struct Checker {
    wanted: Option<Hash>,
    /// Lines that later chains name, until they are found.
    linked: Vec<(u64, Hash)>,
    anchor: Option<Anchor>,
    /// The line being read.
    line: u64,
    /// Highest sequence number so far, and the hash of its line.
    top: (u64, Hash),
    /// Hash of the last line read; differs from `top` after a line out of place.
    last: Hash,
    /// The line before could not be read, so that nothing can name its hash.
    after_malformed: bool,
    /// First and last sequence number that were passed over, and the line where.
    gaps: Vec<(u64, u64, u64)>,
    findings: Vec<Finding>,
    total: u64,
}

impl Checker {
    fn new(head: Option<&Digest>, links: &[&Link]) -> Self {
        Self {
            wanted: head.map(hash),
            linked: links
                .iter()
                .map(|link| (link.seq, hash(&link.head)))
                .collect(),
            anchor: None,
            line: 0,
            top: (0, NO_HASH),
            last: NO_HASH,
            after_malformed: false,
            gaps: Vec::new(),
            findings: Vec::new(),
            total: 0,
        }
    }

    fn check(&mut self, bytes: &[u8]) {
        let Some(line) = Line::parse(bytes) else {
            return self.malformed("this is not an audit line");
        };
        let seq = line.head.seq;
        let unchanged = line.computed == *line.hash;
        if !unchanged {
            self.find(
                Some(seq),
                FindingKind::Changed,
                "the line was changed: its bytes do not have its hash",
            );
        } else if self.wanted.as_ref() == Some(&line.computed) && self.anchor.is_none() {
            self.anchor = Some(Anchor {
                line: self.line,
                seq,
            });
        }
        if unchanged && !self.linked.is_empty() {
            self.linked.retain(|link| *link != (seq, line.computed));
        }
        let expected = self.top.0.saturating_add(1);
        if seq >= expected {
            let follows = *line.prev == self.top.1 || *line.prev == self.last;
            if seq > expected {
                self.pass_over(expected, seq - 1);
            } else if !follows && !self.after_malformed {
                self.find(
                    Some(seq),
                    FindingKind::Broken,
                    "the line does not follow the one before it: one of them was replaced",
                );
            }
            self.top = (seq, *line.hash);
        } else if self.fill(seq) {
            self.find(
                Some(seq),
                FindingKind::Reordered,
                "the line stands too far down",
            );
        } else {
            self.find(
                Some(seq),
                FindingKind::Inserted,
                "the line was put in: its sequence number was there before",
            );
        }
        self.last = *line.hash;
        self.after_malformed = false;
    }

    fn malformed(&mut self, message: &str) {
        self.find(None, FindingKind::Malformed, message);
        self.after_malformed = true;
    }

    /// Notes a gap. A line that could not be read has its own finding and
    /// accounts for one number.
    fn pass_over(&mut self, first: u64, last: u64) {
        let first = if self.after_malformed {
            first + 1
        } else {
            first
        };
        if first > last {
            return;
        }
        if self.gaps.len() < MAX_GAPS {
            self.gaps.push((first, last, self.line));
        } else {
            self.missing(first, last, self.line);
        }
    }

    /// Whether a gap had room for this number; it has none any more.
    fn fill(&mut self, seq: u64) -> bool {
        let gap = self
            .gaps
            .iter()
            .position(|(first, last, _)| (*first..=*last).contains(&seq));
        let Some(index) = gap else { return false };
        let (first, last, line) = self.gaps.swap_remove(index);
        if first < seq {
            self.gaps.push((first, seq - 1, line));
        }
        if seq < last {
            self.gaps.push((seq + 1, last, line));
        }
        true
    }

    fn missing(&mut self, first: u64, last: u64, line: u64) {
        let message = if first == last {
            format!("the line with seq {first} is missing before this one")
        } else {
            format!("the lines with seq {first} to {last} are missing before this one")
        };
        self.find_at(line, None, FindingKind::Missing, message);
    }

    fn find(&mut self, seq: Option<u64>, kind: FindingKind, message: &str) {
        self.find_at(self.line, seq, kind, message.to_owned());
    }

    fn find_at(&mut self, line: u64, seq: Option<u64>, kind: FindingKind, message: String) {
        self.total += 1;
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding {
                line,
                seq,
                kind,
                message,
            });
        }
    }

    fn finish(mut self) -> ChainReport {
        for (first, last, line) in std::mem::take(&mut self.gaps) {
            self.missing(first, last, line);
        }
        for (seq, _) in std::mem::take(&mut self.linked) {
            let message = format!(
                "a later chain names a line with seq {seq} that is not here: the end was cut off \
                 or rewritten"
            );
            self.find(Some(seq), FindingKind::Unlinked, &message);
        }
        self.findings.sort_by_key(|finding| finding.line);
        if self.line == 0 {
            self.find(
                None,
                FindingKind::Missing,
                "the file is empty: even the first line of the chain is missing",
            );
        }
        let mut head = [0; 32];
        let whole = self.last != NO_HASH && hex::decode_to_slice(self.last, &mut head).is_ok();
        ChainReport {
            lines: self.line,
            head: whole.then(|| Digest::from_bytes(head)),
            anchor: self.anchor,
            findings: self.findings,
            findings_total: self.total,
        }
    }
}

fn hash(digest: &Digest) -> Hash {
    let mut digits = NO_HASH;
    // 32 bytes fill 64 digits exactly.
    let _ = hex::encode_to_slice(digest.as_bytes(), &mut digits);
    digits
}

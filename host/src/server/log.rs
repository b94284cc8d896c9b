//! The log of a run that is under way: every line with its number, for as many
//! readers as there are, each at its own place.
//!
//! A line is written as JSON when it comes, on the thread of whoever wrote it, and is
//! never taken apart again: what is streamed and what is kept are these very bytes.

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::api::LogEntry;
use crate::capability::{LogLine, LogSink};
use crate::lock::Mutex;

/// When a page is full, in bytes. The line that fills it may make it longer:
/// [`LONGEST_LINE`](crate::capability::LONGEST_LINE), and twice that where every
/// character takes an escape.
const PAGE: usize = 64 << 10;

/// Some lines in a row: a [`LogEntry`] as JSON each, and a line break after each.
/// Clones share the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// The number of the last line.
    pub(super) last: u64,
    pub(super) text: Bytes,
}

/// The lines of one run. What it holds is bounded by `limits.log` of the grants, which
/// counts for each line what it takes here; a slow reader holds nothing of it.
pub(super) struct RunLog {
    lines: Mutex<Lines>,
    /// How many there are, and whether there will be more.
    grown: watch::Sender<Grown>,
}

#[derive(Default)]
struct Lines {
    full: Vec<Page>,
    /// The lines after these.
    open: Vec<u8>,
    count: u64,
}

/// How far a log is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Grown {
    lines: u64,
    is_closed: bool,
}

/// A reader's way to hear of more lines. It does not hold the log.
pub(super) struct Growth(watch::Receiver<Grown>);

impl Default for RunLog {
    fn default() -> Self {
        Self {
            lines: Mutex::default(),
            grown: watch::Sender::new(Grown::default()),
        }
    }
}

impl LogSink for RunLog {
    fn line(&self, line: LogLine) {
        let mut lines = self.lines.lock();
        let entry = LogEntry {
            sequence: lines.count + 1,
            time: Timestamp::now(),
            level: line.level,
            target: line.target,
            message: line.message,
        };
        lines.push(&entry);
        let lines = lines.count;
        self.grown.send_replace(Grown {
            lines,
            is_closed: false,
        });
    }
}

impl RunLog {
    /// There are no more lines.
    pub(super) fn close(&self) {
        self.grown.send_modify(|grown| grown.is_closed = true);
    }

    /// The next lines after this number, if there are some; and whether there will
    /// never be more than these.
    pub(super) fn after(&self, sequence: u64) -> (Option<Page>, bool) {
        let is_closed = self.grown.borrow().is_closed;
        let lines = self.lines.lock();
        let page = lines.after(sequence);
        let is_all = page.as_ref().is_none_or(|page| page.last == lines.count);
        (page, is_closed && is_all)
    }

    /// How to hear of more.
    pub(super) fn growth(&self) -> Growth {
        Growth(self.grown.subscribe())
    }

    /// All lines as they are kept. They are not copied.
    pub(super) fn kept(&self) -> Vec<Page> {
        let mut lines = self.lines.lock();
        lines.fill();
        lines.full.clone()
    }
}

impl Growth {
    /// Waits until there is more than this, or nothing more to come.
    pub(super) async fn after(&mut self, sequence: u64) {
        // A log that is gone does not grow either.
        let _ = (self.0)
            .wait_for(|grown| grown.is_closed || grown.lines > sequence)
            .await;
    }
}

impl Lines {
    fn push(&mut self, entry: &LogEntry) {
        let before = self.open.len();
        if serde_json::to_writer(&mut self.open, entry).is_err() {
            // A line is a plain document; it cannot fail to be one.
            self.open.truncate(before);
            return;
        }
        self.open.push(b'\n');
        self.count += 1;
        if self.open.len() >= PAGE {
            self.fill();
        }
    }

    /// Begins a new page.
    fn fill(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let mut text = std::mem::take(&mut self.open);
        // It grew by doubling, and stays for as long as the run.
        text.shrink_to_fit();
        self.full.push(Page {
            last: self.count,
            text: text.into(),
        });
    }

    fn after(&self, sequence: u64) -> Option<Page> {
        let at = self.full.partition_point(|page| page.last <= sequence);
        if let Some(page) = self.full.get(at) {
            return page.after(sequence);
        }
        let rest = after(&self.open, self.count, sequence);
        (!rest.is_empty()).then(|| Page {
            last: self.count,
            text: Bytes::copy_from_slice(rest),
        })
    }
}

impl Page {
    /// The lines after this number, if there are some.
    pub(super) fn after(&self, sequence: u64) -> Option<Self> {
        let rest = after(&self.text, self.last, sequence);
        (!rest.is_empty()).then(|| Self {
            last: self.last,
            text: self.text.slice_ref(rest),
        })
    }

    /// The lines with their numbers.
    pub(super) fn lines(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let count = memchr::memchr_iter(b'\n', &self.text).count() as u64;
        let lines = self.text.split(|byte| *byte == b'\n');
        (self.last.saturating_sub(count) + 1..=self.last).zip(lines)
    }
}

/// What is after this line, of lines the last of which has that number.
fn after(lines: &[u8], last: u64, sequence: u64) -> &[u8] {
    let wanted = usize::try_from(last.saturating_sub(sequence)).unwrap_or(usize::MAX);
    // The break that ends the line before the first of those that are wanted.
    let before = memchr::memrchr_iter(b'\n', lines).nth(wanted);
    match (wanted, before) {
        (0, _) => &[],
        (_, Some(end)) => lines.get(end + 1..).unwrap_or_default(),
        (_, None) => lines,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::LogLevel;

    fn line(message: &str) -> LogLine {
        LogLine {
            level: LogLevel::Info,
            target: "t".to_owned(),
            message: message.to_owned(),
        }
    }

    /// The numbers of all lines after this one, as a reader gets them.
    fn read(log: &RunLog, mut after: u64) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let (Some(page), _) = log.after(after) {
            for (number, text) in page.lines() {
                let entry: LogEntry = serde_json::from_slice(text).unwrap();
                assert_eq!(entry.sequence, number);
                numbers.push(number);
            }
            after = page.last;
        }
        numbers
    }

    #[test]
    fn every_reader_reads_from_its_own_place_and_the_same_is_kept() {
        let log = RunLog::default();
        for number in 0..2_000 {
            log.line(line(&format!("line {number}\nof two")));
        }
        assert!(log.lines.lock().full.len() > 2, "several pages");
        for after in [0, 1, 777, 1_999, 2_000, 9_000] {
            assert_eq!(read(&log, after), (after + 1..=2_000).collect::<Vec<_>>());
        }
        let kept = log.kept();
        assert_eq!(kept.last().unwrap().last, 2_000);
        let numbers = kept.iter().flat_map(|page| page.lines().map(|(at, _)| at));
        assert!(numbers.eq(1..=2_000));
        assert_eq!(read(&log, 1_234), (1_235..=2_000).collect::<Vec<_>>());
        assert!(!log.after(2_000).1, "more may come");
        log.close();
        assert_eq!(log.after(2_000), (None, true));
    }

    #[test]
    fn what_is_kept_is_not_copied() {
        let log = RunLog::default();
        log.line(line(&"x".repeat(1 << 20)));
        log.line(line("y"));
        let (one, other) = (log.kept(), log.kept());
        assert_eq!(one.len(), 2);
        for (one, other) in one.iter().zip(&other) {
            assert_eq!(one.text.as_ptr(), other.text.as_ptr());
        }
    }

    /// What `limits.log` counts for a line is no less than what it takes.
    #[test]
    fn a_line_takes_what_it_is_counted_for() {
        let log = RunLog::default();
        for _ in 0..100_000 {
            log.line(line(""));
        }
        let taken: usize = log.kept().iter().map(|page| page.text.len()).sum();
        let counted = 100_000 * (crate::capability::LINE_COST + "t".len());
        assert!(taken < counted, "{taken} of {counted}");
    }
}

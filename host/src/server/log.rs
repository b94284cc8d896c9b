//! The log of a run that is under way: every line with its number, for as many
//! readers as there are, each at its own place.

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::api::LogEntry;
use crate::capability::{LogLine, LogSink};

/// The lines of one run. What it holds is bounded by `limits.log` of the grants;
/// a slow reader holds nothing of its own.
pub(super) struct RunLog {
    lines: Mutex<Vec<LogEntry>>,
    /// How many there are, and whether there will be more.
    grown: watch::Sender<(usize, bool)>,
}

impl Default for RunLog {
    fn default() -> Self {
        Self {
            lines: Mutex::default(),
            grown: watch::Sender::new((0, false)),
        }
    }
}

impl LogSink for RunLog {
    fn line(&self, line: LogLine) {
        let mut lines = self.lines.lock();
        let sequence = lines.len() as u64 + 1;
        lines.push(LogEntry {
            sequence,
            time: Timestamp::now(),
            level: line.level,
            target: line.target,
            message: line.message,
        });
        self.grown.send_replace((lines.len(), false));
    }
}

impl RunLog {
    /// There are no more lines.
    pub(super) fn close(&self) {
        self.grown.send_modify(|(_, closed)| *closed = true);
    }

    /// The lines after this number that are there, at most `most`; and whether
    /// these were all that there will ever be.
    pub(super) fn after(&self, sequence: u64, most: usize) -> (Vec<LogEntry>, bool) {
        let closed = self.grown.borrow().1;
        let lines = self.lines.lock();
        let from = usize::try_from(sequence).unwrap_or(usize::MAX);
        let rest = lines.get(from.min(lines.len())..).unwrap_or_default();
        let some: Vec<_> = rest.iter().take(most).cloned().collect();
        let is_all = closed && some.len() == rest.len();
        (some, is_all)
    }

    /// Waits until there is more than this, or nothing more to come.
    pub(super) async fn grown(&self, sequence: u64) {
        let mut grown = self.grown.subscribe();
        // The sender is ours: it cannot be gone.
        let _ = grown
            .wait_for(|(lines, closed)| *closed || *lines as u64 > sequence)
            .await;
    }

    /// All lines as they are kept; none when there are none.
    pub(super) fn kept(&self) -> Option<Box<RawValue>> {
        let lines = self.lines.lock();
        (!lines.is_empty())
            .then(|| serde_json::value::to_raw_value(&*lines).ok())
            .flatten()
    }
}

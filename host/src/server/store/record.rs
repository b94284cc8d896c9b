//! One kept run.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::api::RunView;
use crate::caller::Owner;
use crate::digest::Digest;
use crate::server::log::Page;

/// An owner's idempotency key, hashed: what the owner chose is nobody else's
/// business, and a hash has one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::server) struct KeyHash(Digest);

impl KeyHash {
    pub(in crate::server) fn of(owner: &Owner, key: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(owner.as_str());
        hash.update([0]);
        hash.update(key);
        Self(Digest::from_bytes(hash.finalize().into()))
    }
}

/// A run to be kept.
pub(in crate::server) struct Record {
    pub(in crate::server) head: Head,
    /// None for one that has little to tell: all of it is in the head.
    pub(super) parts: Option<Parts>,
}

/// What `results.db` says of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::server) struct Head {
    /// Whose it is.
    pub(in crate::server) owner: Owner,
    /// Under which key it was submitted.
    pub(in crate::server) key: KeyHash,
    /// The digest of what was submitted under it.
    pub(in crate::server) submission: Digest,
    /// What its owner sees; without the report when that is kept apart.
    pub(in crate::server) view: RunView,
    /// Its log, as the text of a page; none before its end, when it had none, and when
    /// it is kept apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    /// What is kept apart of it, if anything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) apart: Option<Apart>,
}

/// How much of a run is in `results-large.db`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Apart {
    /// Of report and log together.
    bytes: u64,
    /// Lines of its log.
    lines: u64,
}

/// What a run that has much to tell returned and logged. Clones share it.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) report: Option<Arc<RawValue>>,
    pub(super) log: Vec<Page>,
}

/// What a run takes on the disk, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::server) struct Weight {
    /// In `results.db`.
    pub(in crate::server) head: u64,
    /// In `results-large.db`, 0 when it is not there.
    pub(in crate::server) apart: u64,
}

impl Weight {
    pub(in crate::server) fn total(self) -> u64 {
        self.head + self.apart
    }
}

/// A kept log, without its lines.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct KeptLog {
    /// How many lines it has.
    pub(in crate::server) lines: u64,
    /// Whether they are in `results-large.db`.
    pub(super) is_apart: bool,
}

/// What a head may hold of report and log, in bytes. Heads are what a list of runs
/// and the start of the service read.
const SMALL: usize = 4 << 10;

/// What a head is counted for beside these, in bytes: about what it and its place in
/// the index take.
const HEAD: u64 = 1 << 10;

impl Record {
    pub(in crate::server) fn new(
        owner: Owner,
        (key, submission): (KeyHash, Digest),
        mut view: RunView,
        report: Option<Arc<RawValue>>,
        log: Vec<Page>,
    ) -> Self {
        let text: usize = log.iter().map(|page| page.text.len()).sum();
        let bytes = text + report.as_ref().map_or(0, |report| report.get().len());
        let lines = log.last().map_or(0, |page| page.last);
        let is_small = bytes <= SMALL;
        if is_small {
            view.report = report.as_deref().map(RawValue::to_owned);
        }
        let head = Head {
            owner,
            key,
            submission,
            view,
            log: (is_small && lines > 0).then(|| whole(&log)),
            apart: (!is_small).then_some(Apart {
                bytes: bytes as u64,
                lines,
            }),
        };
        let parts = (!is_small).then_some(Parts { report, log });
        Self { head, parts }
    }

    /// When the run ended; now, as long as it has not.
    pub(in crate::server) fn ended(&self) -> Timestamp {
        self.head.view.ended.unwrap_or_else(Timestamp::now)
    }
}

impl Head {
    /// As it lies in the file.
    pub(super) fn write(&self) -> serde_json::Result<Vec<u8>> {
        // Most are about this long, and a buffer that has to grow is copied and wiped.
        let mut bytes = Vec::with_capacity(2 << 10);
        serde_json::to_writer(&mut bytes, self)?;
        Ok(bytes)
    }

    pub(super) fn read(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }

    /// When the run ended; none for one that was under way. A later service may have
    /// words for states that this one does not know: what has an end is over.
    pub(in crate::server) fn ended(&self) -> Option<Timestamp> {
        self.view.ended.filter(|_| self.view.is_over())
    }

    pub(in crate::server) fn weight(&self) -> Weight {
        let report = self.view.report.as_ref().map_or(0, |it| it.get().len());
        let log = self.log.as_ref().map_or(0, String::len);
        Weight {
            head: HEAD + (report + log) as u64,
            apart: self.apart.map_or(0, |apart| apart.bytes),
        }
    }

    /// Its log.
    pub(in crate::server) fn log(&self) -> KeptLog {
        let text = self.log.as_deref().unwrap_or_default();
        KeptLog {
            lines: self.apart.map_or_else(|| lines(text), |apart| apart.lines),
            is_apart: self.apart.is_some(),
        }
    }

    /// The lines of its log that are here, which are all or none.
    pub(super) fn page(self) -> Option<Page> {
        self.log.map(|text| Page {
            last: lines(&text),
            text: text.into(),
        })
    }
}

fn lines(text: &str) -> u64 {
    memchr::memchr_iter(b'\n', text.as_bytes()).count() as u64
}

impl Parts {
    pub(super) fn size(&self) -> usize {
        let report = self.report.as_ref().map_or(0, |it| it.get().len());
        let pages = self.log.iter().map(|page| page.text.len());
        report + pages.sum::<usize>()
    }
}

/// Pages as one text. They are JSON, and so they are text.
fn whole(pages: &[Page]) -> String {
    let texts = pages.iter().map(|page| String::from_utf8_lossy(&page.text));
    texts.collect()
}

//! One kept run.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::api::RunView;
use crate::caller::Owner;
use crate::digest::Digest;

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

/// What the file says of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::server) struct Record {
    /// Whose it is.
    pub(in crate::server) owner: Owner,
    /// Under which key it was submitted.
    pub(in crate::server) key: KeyHash,
    /// The digest of what was submitted under it.
    pub(in crate::server) submission: Digest,
    /// What its owner sees.
    pub(in crate::server) view: RunView,
    /// Its log, a list of lines; none before its end, and when it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::server) log: Option<Box<RawValue>>,
    /// Whether report and log are kept apart, as [`Rest`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_apart: bool,
}

/// The large part of a run that has much to tell.
#[derive(Serialize, Deserialize)]
struct Rest {
    report: Option<Box<RawValue>>,
    log: Option<Box<RawValue>>,
}

/// A run as it lies in the file.
pub(super) struct Stored {
    pub(super) head: Vec<u8>,
    /// None for one that has little to tell: all of it is in the head.
    pub(super) rest: Option<Vec<u8>>,
}

/// What a head may hold of report and log, in bytes. Heads are what a list of runs
/// and the start of the service read.
const SMALL: usize = 4 << 10;

/// As JSON. Most are about this long, and a buffer that has to grow is copied and wiped.
fn written(part: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(2 << 10);
    serde_json::to_writer(&mut bytes, part)?;
    Ok(bytes)
}

impl Record {
    pub(in crate::server) fn new(
        owner: Owner,
        (key, submission): (KeyHash, Digest),
        view: RunView,
        log: Option<Box<RawValue>>,
    ) -> Self {
        Self {
            owner,
            key,
            submission,
            view,
            log,
            is_apart: false,
        }
    }

    /// When the run ended; now, as long as it has not.
    pub(in crate::server) fn ended(&self) -> Timestamp {
        self.view.ended.unwrap_or_else(Timestamp::now)
    }

    pub(super) fn store(&self) -> serde_json::Result<Stored> {
        let size = |text: &Option<Box<RawValue>>| text.as_ref().map_or(0, |it| it.get().len());
        if size(&self.view.report) + size(&self.log) <= SMALL {
            let head = written(self)?;
            return Ok(Stored { head, rest: None });
        }
        let rest = Rest {
            report: self.view.report.clone(),
            log: self.log.clone(),
        };
        let head = Self {
            owner: self.owner.clone(),
            view: RunView {
                report: None,
                ..self.view.clone()
            },
            log: None,
            is_apart: true,
            ..*self
        };
        Ok(Stored {
            head: written(&head)?,
            rest: Some(written(&rest)?),
        })
    }

    /// Puts the parts together again.
    pub(super) fn with(self, rest: &[u8]) -> serde_json::Result<Self> {
        let Rest { report, log } = serde_json::from_slice(rest)?;
        Ok(Self {
            view: RunView {
                report,
                ..self.view
            },
            log,
            is_apart: false,
            ..self
        })
    }
}

//! One kept run.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::api::RunView;
use crate::caller::Owner;
use crate::digest::Digest;

/// An owner's idempotency key, hashed: what the owner chose is nobody else's
/// business, and a hash has one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
}

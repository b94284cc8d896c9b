//! What a run tells its caller. Scrubbed and escaped; holds no secret, no
//! token, and no text of Vault's.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::error::Phase;
use crate::capability::{Denial, RefusedByVault};
use crate::diagnostic::{Blame, Exit};
use crate::digest::Digest;
use crate::engine::{Disposition, GuestOutcome};
use crate::vault::{LeaseCount, Revocation};

/// The report of one run; `cofferdam run --format json` prints it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RunReport {
    /// Our id of the run, as the audit has it.
    pub run: String,
    /// The task.
    pub task: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The result of a task that is done.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    #[schema(value_type = Option<serde_json::Value>)]
    pub result: Option<Box<RawValue>>,
    /// Limits of the grants file that bit, by field name.
    pub limits: Vec<String>,
    /// Calls that were refused, with their grant.
    pub denials: Vec<Denial>,
    /// Refusals beyond the lines of `denials`; the audit has them all.
    pub unlisted_denials: u64,
    /// Calls that the grants cover and Vault refused: for the operator.
    #[serde(default, skip_serializing_if = "MissingRights::is_empty")]
    pub missing_rights: MissingRights,
    /// Calls that the grants covered, by `kind.name.operation`.
    pub calls: BTreeMap<String, u64>,
    /// What became of the authority; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<RevocationReport>,
    /// Where the run stands in the audit.
    pub audit: AuditReport,
    /// How long the attempt took, from its begin to the end of its authority.
    #[serde(default)]
    pub milliseconds: u64,
    /// The exit code of `cofferdam run`.
    pub exit: u8,
}

/// A result that is `null` is one.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::deserialize(deserializer).map(Some)
}

/// What the attempt's policies lack.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct MissingRights {
    /// The policies that the attempt carried.
    pub policies: Vec<String>,
    /// What they did not allow.
    pub refused: Vec<RefusedByVault>,
}

impl MissingRights {
    /// True when Vault refused nothing.
    pub fn is_empty(&self) -> bool {
        self.refused.is_empty()
    }
}

/// Where a run stands in the audit.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditReport {
    /// The file of the process's chain.
    #[schema(value_type = String)]
    pub file: PathBuf,
    /// Hash of the chain's last line when the run was sealed; keep it, and
    /// `cofferdam audit verify --head` finds a line that was cut. Absent when
    /// the chain could not be written to its end.
    #[schema(value_type = Option<String>)]
    pub head: Option<Digest>,
    /// Whether the disk had the audit when this was told. A service asks the disk a
    /// moment later where a run can do nothing but answer (`sync` of `[server.results]`).
    pub synced: bool,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// The task returned a result.
    Done,
    /// The task declared failure.
    Failed {
        /// What the caller should do.
        disposition: Disposition,
        /// The task's words.
        message: String,
    },
    /// The task broke: it trapped, or what it returned is no JSON that others can
    /// read. Another try would break as well.
    Trapped {
        /// wasmtime's name of the trap, or what is wrong with the result.
        reason: String,
    },
    /// A limit ended it.
    OutOfLimits {
        /// Which.
        limit: String,
    },
    /// It was cancelled.
    Cancelled,
    /// It did not reach the guest.
    Refused {
        /// Where it stopped.
        phase: Phase,
        /// Who has to act.
        blame: Blame,
        /// What happened, with its causes.
        message: String,
        /// The cure.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// A word that only a later version has: read, never said.
    #[serde(other)]
    Unknown,
}

/// What became of the authorities of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevocationReport {
    /// Whether everything was revoked and that was confirmed.
    pub complete: bool,
    /// A fixed word for the reason when not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub reason: Option<Cow<'static, str>>,
    /// The leases of the attempt in numbers; absent when it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leases: Option<LeaseCount>,
}

impl RevocationReport {
    /// Takes in what became of another authority.
    pub(super) fn and(self, other: &Revocation) -> Self {
        Self {
            complete: self.complete && other.complete,
            reason: self.reason.or(other.reason.map(Cow::Borrowed)),
            leases: self.leases,
        }
    }
}

impl From<&Revocation> for RevocationReport {
    fn from(revocation: &Revocation) -> Self {
        Self {
            complete: revocation.complete,
            reason: revocation.reason.map(Cow::Borrowed),
            leases: revocation.lease_count(),
        }
    }
}

impl Outcome {
    /// The word that the audit uses.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed { .. } => "failed",
            Self::Trapped { .. } => "trapped",
            Self::OutOfLimits { .. } => "out_of_limits",
            Self::Cancelled => "cancelled",
            Self::Refused { .. } => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// The exit code of a guest's outcome, before revocation is considered.
pub(super) fn guest_exit(outcome: &GuestOutcome) -> Exit {
    match outcome {
        GuestOutcome::Done(_) => Exit::Done,
        GuestOutcome::Failed {
            // A guest has no other words.
            disposition: Disposition::Fail | Disposition::Unknown,
            ..
        } => Exit::Failed,
        GuestOutcome::Failed {
            disposition: Disposition::Retry,
            ..
        } => Exit::Retry,
        GuestOutcome::Failed {
            disposition: Disposition::Skip,
            ..
        } => Exit::Skipped,
        GuestOutcome::Trapped(_) => Exit::Trapped,
        GuestOutcome::OutOfLimits(_) => Exit::OutOfLimits,
        GuestOutcome::Cancelled => Exit::Cancelled,
    }
}

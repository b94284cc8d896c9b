//! What the edge needs to know of an error: the exit code, whose fault it is,
//! and the cure. Every error that can stop a run answers these.

use serde::{Deserialize, Serialize};
use strum::IntoEnumIterator;
use utoipa::ToSchema;

/// Exit codes of `cofferdam run`; the other commands use 0, 1, 2, 3 and 4 in
/// the same sense. Documented in README.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display, strum::EnumIter)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[repr(u8)]
pub enum Exit {
    /// The task returned a result and everything was revoked.
    Done = 0,
    /// The task declared failure; for other commands: a finding.
    Failed = 1,
    /// Bad usage, configuration, grants, component or input.
    Usage = 2,
    /// The caller, the component or the host may not do this.
    Denied = 3,
    /// Vault cannot be used now.
    Unavailable = 4,
    /// A limit stopped the task.
    OutOfLimits = 5,
    /// The task trapped.
    Trapped = 6,
    /// The task is done, but not all that belongs to its end: a revocation failed and a
    /// credential may still live, or the audit could not be written to its end.
    DoneUnrevoked = 7,
    /// The task failed and asks to be tried again (sysexits' `EX_TEMPFAIL`).
    Retry = 75,
    /// The task had nothing to do (Airflow's convention for a skip).
    Skipped = 99,
    /// The attempt was cancelled (128 + SIGINT).
    Cancelled = 130,
}

impl Exit {
    /// The number that the process exits with.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The exit of this number; none when it is none of ours.
    pub fn known(code: u8) -> Option<Self> {
        Self::iter().find(|exit| exit.code() == code)
    }

    /// The exit of this number; a number that is none of ours counts as failed.
    pub fn from_code(code: u8) -> Self {
        Self::known(code).unwrap_or(Self::Failed)
    }
}

/// Who has to act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Blame {
    /// The author of the task or the caller of the run.
    Task,
    /// Whoever keeps the configuration, the grants or Vault.
    Operator,
    /// Cofferdam itself.
    Host,
    /// A word that only a later version has: read, never said.
    #[serde(other)]
    Unknown,
}

/// An error with its causes, on one line. Some errors have their cause's text in their own;
/// it is not told twice.
pub fn with_causes(error: &(impl std::error::Error + ?Sized)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let told = inner.to_string();
        if !text.ends_with(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = inner.source();
    }
    text
}

/// An error that people see at the edge.
///
/// The message (`Display`) is a lower-case fragment without secrets; `source`
/// carries the causes.
pub trait Diagnostic: std::error::Error {
    /// The exit code it leads to when it stops a run before the guest starts.
    fn exit(&self) -> Exit;
    /// Who has to act.
    fn blame(&self) -> Blame;
    /// The cure, when there is one to name.
    fn hint(&self) -> Option<String> {
        None
    }
}

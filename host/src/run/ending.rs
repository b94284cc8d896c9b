//! How a run ends, in the words of its report.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::plain;
use super::report::guest_exit;
use super::{AuditReport, MissingRights, Outcome, RevocationReport, RunError, RunReport};
use crate::audit::{AuditLog, Event, Recorder, SealedAudit};
use crate::diagnostic::{Diagnostic, Exit, with_causes};
use crate::engine::GuestOutcome;
use crate::engine::instance::GuestRun;
use crate::scrub::{SecretSet, escape_control};
use crate::vault::Revocation;

/// The guest's end in words for the caller.
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) result: Option<Box<RawValue>>,
    /// The limits that it ran into.
    pub(super) limits: Vec<String>,
    pub(super) exit: Exit,
}

impl Ended {
    /// A fault of the host's own.
    pub(super) fn panicked() -> Self {
        Self {
            outcome: refusal(&RunError::Panic),
            result: None,
            limits: Vec::new(),
            exit: RunError::Panic.exit(),
        }
    }

    /// What the guest's end means to the caller; its words are scrubbed.
    pub(super) fn of(guest: GuestRun, secrets: &SecretSet) -> Self {
        let (mut exit, mut result) = (guest_exit(&guest.outcome), None);
        let words = |text: &str| escape_control(&secrets.scrub_text(text));
        let outcome = match guest.outcome {
            GuestOutcome::Done(text) => match plain_json(secrets.scrub_text(&text)) {
                Ok(json) => {
                    result = Some(json);
                    Outcome::Done
                }
                Err(error) => {
                    // Not a failure to be tried again: its work is done.
                    exit = Exit::Trapped;
                    let fault = words(&error.to_string());
                    Outcome::Trapped {
                        reason: format!(
                            "the task's result is not JSON: {fault} \
                             (let it return plain data, nested less than 128 levels)"
                        ),
                    }
                }
            },
            GuestOutcome::Failed {
                disposition,
                message,
            } => Outcome::Failed {
                disposition,
                message: words(&message),
            },
            GuestOutcome::Trapped(reason) => Outcome::Trapped {
                reason: words(&reason),
            },
            GuestOutcome::OutOfLimits(limit) => Outcome::OutOfLimits {
                limit: limit.to_string(),
            },
            GuestOutcome::Cancelled => Outcome::Cancelled,
        };
        Self {
            outcome,
            result,
            limits: guest.limits.iter().map(ToString::to_string).collect(),
            exit,
        }
    }
}

/// The result as it is handed on.
fn plain_json(text: String) -> serde_json::Result<Box<RawValue>> {
    plain::check(&text)?;
    RawValue::from_string(text)
}

/// Writes down what became of an authority.
pub(super) fn closed(revocation: &Revocation, recorder: &Recorder) -> RevocationReport {
    // A chain that takes no more lines is told where the run is sealed: what was revoked
    // is revoked.
    for end in &revocation.leases {
        let _ = recorder.record(&Event::LeaseClosed {
            lease: end.lease,
            revoked: end.left.is_none(),
            reason: end.left,
        });
    }
    let _ = recorder.record(&Event::AuthorityClosed {
        revoked: revocation.complete,
        reason: revocation.reason,
        vault_request_id: revocation.request_id.as_deref(),
    });
    RevocationReport::from(revocation)
}

/// A failed revocation, or an audit that could not be written to its end, changes only
/// success: what the task did comes first.
pub(super) fn exit_with(exit: u8, is_whole: bool) -> u8 {
    match exit == Exit::Done.code() && !is_whole {
        true => Exit::DoneUnrevoked.code(),
        false => exit,
    }
}

fn refusal(error: &RunError) -> Outcome {
    if matches!(error, RunError::Cancelled) {
        return Outcome::Cancelled;
    }
    Outcome::Refused {
        phase: error.phase(),
        blame: error.blame(),
        message: with_causes(error),
        hint: error.hint(),
    }
}

/// The report of a run that did not start.
pub(super) fn refused_report(
    run: String,
    task: String,
    audit: &AuditLog,
    error: &RunError,
) -> RunReport {
    RunReport {
        run,
        task,
        outcome: refusal(error),
        result: None,
        limits: Vec::new(),
        denials: Vec::new(),
        unlisted_denials: 0,
        missing_rights: MissingRights::default(),
        calls: BTreeMap::new(),
        revocation: None,
        audit: audit_report(audit, None),
        milliseconds: 0,
        exit: error.exit().code(),
    }
}

/// Where the audit of a run stands; `sealed` when it could be written to its end.
pub(super) fn audit_report(audit: &AuditLog, sealed: Option<SealedAudit>) -> AuditReport {
    AuditReport {
        file: audit.path().to_owned(),
        head: sealed.as_ref().map(|sealed| sealed.head),
        synced: sealed.is_some_and(|sealed| sealed.synced),
    }
}

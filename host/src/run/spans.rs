//! What a run is called in the host's log and in traces.
//!
//! Nothing secret: ids, names and numbers. What a caller chose is cut and escaped.

use tracing::Span;
use tracing::field::Empty;

use super::{RunReport, RunRequest};
use crate::telemetry::shown;

/// One run, with every phase and every request to Vault below it.
pub(super) fn run(run: &str, request: &RunRequest) -> Span {
    tracing::info_span!(
        "run",
        run,
        task = %request.task(),
        dag_id = %shown(request.identity().dag_id()),
        outcome = Empty,
        exit = Empty,
    )
}

/// How the run of this span ended.
pub(super) fn ended(report: &RunReport) {
    let span = Span::current();
    span.record("outcome", report.outcome.word());
    span.record("exit", report.exit);
}

/// Step 5: opening the authority.
pub(super) fn authority() -> Span {
    tracing::debug_span!("authority")
}

/// Steps 6 and 7: the guest.
pub(super) fn guest() -> Span {
    tracing::debug_span!("guest")
}

/// Step 8: closing the authority.
pub(super) fn revocation() -> Span {
    tracing::debug_span!("revocation")
}

/// Step 9: sealing the audit.
pub(super) fn seal() -> Span {
    tracing::debug_span!("seal")
}

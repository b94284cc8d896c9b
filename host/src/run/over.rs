//! A run that is over, until its audit is on the disk.

use tracing::{Instrument as _, Span};

use super::ending::{audit_report, exit_with};
use super::{RunReport, spans};
use crate::audit::{AuditError, AuditLog, SealedAudit, Unsynced};

/// A run that is over: its authority is closed and its last fact is in the chain.
/// Nobody may be told before that fact is on the disk, unless it is [`Over::early`].
pub(crate) struct Over {
    /// As it is once the audit is on the disk.
    report: RunReport,
    chain: AuditLog,
    /// None when the chain did not take the last fact.
    audit: Option<Unsynced>,
    span: Span,
}

impl Over {
    /// To be called within the run's span.
    pub(super) fn new(
        report: RunReport,
        chain: AuditLog,
        audit: Result<Unsynced, AuditError>,
    ) -> Self {
        let audit = audit.inspect_err(unsealed).ok();
        let report = with_audit(report, &chain, audit.as_ref().map(Unsynced::sealed));
        spans::ended(&report);
        let span = Span::current();
        Self {
            report,
            chain,
            audit,
            span,
        }
    }

    /// A fault of the host's own, of which the audit does not tell the end.
    pub(super) fn panicked(report: RunReport, chain: AuditLog) -> Self {
        Self {
            report,
            chain,
            audit: None,
            span: Span::none(),
        }
    }

    /// The same, to be told before that is on the disk, which the report says.
    pub(crate) fn early(mut self) -> Self {
        self.report.audit.synced = false;
        self
    }

    /// As it will be told.
    pub(crate) fn report(&self) -> &RunReport {
        &self.report
    }

    /// What has to be on the disk before anybody is told, or soon after if it is early.
    pub(crate) fn audit(&self) -> Option<&Unsynced> {
        self.audit.as_ref()
    }

    /// The span in which it is waited for.
    pub(crate) fn sealing(&self) -> Span {
        self.span.in_scope(spans::seal)
    }

    /// Its report, when the audit could not be synced.
    pub(crate) fn unsynced(self, error: &AuditError) -> RunReport {
        self.span.in_scope(|| {
            unsealed(error);
            let report = with_audit(self.report, &self.chain, None);
            spans::ended(&report);
            report
        })
    }

    /// Its report, once the audit is on the disk or could not be synced.
    pub(super) async fn synced(self) -> RunReport {
        let Some(audit) = self.audit.clone() else {
            return self.report;
        };
        match audit.synced().instrument(self.sealing()).await {
            Ok(_) => self.report,
            Err(error) => self.unsynced(&error),
        }
    }
}

fn with_audit(report: RunReport, chain: &AuditLog, sealed: Option<SealedAudit>) -> RunReport {
    RunReport {
        exit: exit_with(report.exit, sealed.is_some()),
        audit: audit_report(chain, sealed),
        ..report
    }
}

/// Tells that a chain could not be written or synced to its end.
pub(super) fn unsealed(error: &AuditError) {
    tracing::error!(%error, "the audit could not be sealed");
}

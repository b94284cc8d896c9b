//! All of it, and the exit code.

use serde::Serialize;

use super::{Check, CheckId, State};
use crate::diagnostic::{Diagnostic, Exit};
use crate::vault::{VaultError, VaultErrorKind};

/// What an examination showed, in the order of the looks.
#[derive(Debug, Default)]
pub struct Report {
    checks: Vec<Check>,
    unavailable: bool,
    interrupted: bool,
}

/// How many checks ended how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// As it should be.
    pub ok: usize,
    /// Somebody should know.
    pub warning: usize,
    /// Wrong.
    pub fault: usize,
    /// Nobody could say.
    pub not_proven: usize,
}

impl Report {
    /// Every look.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// How many ended how.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for check in &self.checks {
            *match check.state {
                State::Ok => &mut counts.ok,
                State::Warning => &mut counts.warning,
                State::Fault => &mut counts.fault,
                State::NotProven => &mut counts.not_proven,
            } += 1;
        }
        counts
    }

    /// The exit code. A fault counts, and so does what was asked and could not
    /// be proven; when `strict`, everything that is not ok.
    pub fn exit(&self, strict: bool) -> Exit {
        if self.interrupted {
            return Exit::Cancelled;
        }
        if self.unavailable {
            return Exit::Unavailable;
        }
        let counts = |check: &Check| match check.state {
            State::Ok => false,
            State::Fault => true,
            State::Warning => strict,
            State::NotProven => strict || !check.unasked,
        };
        if self.checks.iter().any(counts) {
            Exit::Failed
        } else {
            Exit::Done
        }
    }

    pub(super) fn push(&mut self, check: Check) {
        self.checks.push(check);
    }

    pub(super) fn extend(&mut self, checks: impl IntoIterator<Item = Check>) {
        self.checks.extend(checks);
    }

    /// Notes what Vault could not, or would not, answer.
    pub(super) fn failed(&mut self, id: CheckId, place: impl Into<String>, error: &VaultError) {
        let cure = error
            .hint()
            .unwrap_or_else(|| "look for the request in vault's log and in its audit".to_owned());
        let what = told(error);
        if error.kind() == VaultErrorKind::Unavailable {
            self.unavailable = true;
            self.push(Check::unproven(id, place, what, cure));
        } else {
            self.push(Check::fault(id, place, what, cure));
        }
    }

    /// No node serves.
    pub(super) fn set_unavailable(&mut self) {
        self.unavailable = true;
    }

    /// Somebody asked us to stop.
    pub(super) fn set_interrupted(&mut self) {
        self.interrupted = true;
    }
}

/// An error with its causes in one line. None of them holds a secret.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    crate::diagnostic::with_causes(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: CheckId = CheckId::NodeHealth;

    fn exit(check: Check, strict: bool) -> Exit {
        let mut report = Report::default();
        report.push(Check::ok(ID, "a", "b"));
        report.push(check);
        report.exit(strict)
    }

    #[test]
    fn what_counts_as_a_finding() {
        let cases = [
            (Check::ok(ID, "", ""), Exit::Done, Exit::Done),
            (Check::warning(ID, "", "", ""), Exit::Done, Exit::Failed),
            (Check::unasked(ID, "", "", ""), Exit::Done, Exit::Failed),
            (Check::unproven(ID, "", "", ""), Exit::Failed, Exit::Failed),
            (Check::fault(ID, "", "", ""), Exit::Failed, Exit::Failed),
        ];
        for (check, usual, strict) in cases {
            assert_eq!(exit(check.clone(), false), usual, "{check:?}");
            assert_eq!(exit(check.clone(), true), strict, "{check:?}");
        }
    }

    #[test]
    fn a_vault_that_is_away_is_no_fault_of_what_was_asked() {
        let mut report = Report::default();
        let away = VaultError::Overloaded {
            operation: crate::vault::Operation::Review,
            status: 500,
            retry_after: None,
        };
        report.failed(ID, "here", &away);
        assert_eq!(report.exit(false), Exit::Unavailable);
        assert_eq!(report.counts().not_proven, 1);
        let refused = VaultError::Refused {
            operation: crate::vault::Operation::Review,
            path: "a".to_owned(),
        };
        let mut report = Report::default();
        report.failed(ID, "here", &refused);
        assert_eq!(report.counts().fault, 1);
        assert!(
            report.checks()[0]
                .cure
                .as_deref()
                .unwrap()
                .contains("--reviewer")
        );
    }
}

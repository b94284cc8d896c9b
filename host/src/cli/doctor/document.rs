//! The report for people and for machines.

use std::fmt;

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::diagnostic::Exit;
use crate::doctor::{Check, CheckId, Counts, Report, State};

/// What machines read.
#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    /// The exit code.
    exit: u8,
    counts: Counts,
    checks: &'a [Check],
}

impl<'a> Document<'a> {
    pub(super) fn new(report: &'a Report, exit: Exit) -> Self {
        Self {
            exit: exit.code(),
            counts: report.counts(),
            checks: report.checks(),
        }
    }

    /// Every check in a line of its own.
    pub(super) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(["STATE", "CHECK", "WHERE", "WHAT"]);
        for check in self.checks {
            table.add_row([
                check.state.to_string(),
                check.id.to_string(),
                check.place.clone(),
                check.what.clone(),
            ]);
        }
        table.trim_fmt()
    }

    /// The cures for everything in this state; one that helps several checks
    /// stands once, with their ids.
    fn cures(&self, state: State) -> Vec<(&str, Vec<CheckId>)> {
        let mut cures: Vec<(&str, Vec<CheckId>)> = Vec::new();
        for check in self.checks.iter().filter(|check| check.state == state) {
            let Some(cure) = check.cure.as_deref() else {
                continue;
            };
            match cures.iter_mut().find(|(known, _)| *known == cure) {
                Some((_, ids)) if ids.contains(&check.id) => {}
                Some((_, ids)) => ids.push(check.id),
                None => cures.push((cure, vec![check.id])),
            }
        }
        cures
    }
}

/// The cures, faults first, and the count of everything.
impl fmt::Display for Document<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for state in [State::Fault, State::NotProven, State::Warning] {
            for (cure, ids) in self.cures(state) {
                let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
                writeln!(f, "{state}: {}\n  cure: {cure}", ids.join(", "))?;
            }
        }
        let Counts {
            ok,
            warning,
            fault,
            not_proven,
        } = self.counts;
        write!(
            f,
            "ok: {ok}, warnings: {warning}, faults: {fault}, not proven: {not_proven}"
        )
    }
}

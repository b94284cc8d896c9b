//! What killed processes left behind.

use std::path::Path;

use super::report::told;
use super::{Check, CheckId};
use crate::vault::inspect::{self, JournalFacts, LeftBehind};

const ID: CheckId = CheckId::JournalLeft;

/// How many are named one by one.
const SHOWN: usize = 10;

/// Looks at the journal below this state folder.
pub(super) fn check(state: &Path) -> Vec<Check> {
    let place = state.join("journal").display().to_string();
    let facts = match inspect::journal(state) {
        Ok(facts) => facts,
        Err(error) => {
            let cure = "give the state folder to the user that runs cofferdam, mode 0700, and run every command as that user";
            return vec![Check::fault(ID, place, told(&error), cure)];
        }
    };
    let JournalFacts {
        live,
        left,
        unreadable,
    } = facts;
    let mut checks: Vec<_> = left
        .iter()
        .take(SHOWN)
        .map(|one| left_behind(&place, one))
        .collect();
    if left.len() > SHOWN {
        let more = format!("{} more tokens were left behind", left.len() - SHOWN);
        checks.push(Check::fault(ID, place.as_str(), more, SWEEP));
    }
    checks.extend(unreadable.iter().map(|place| {
        let (what, cure) = match place.block {
            None => (
                "a file of the journal that is damaged or not of this host's making",
                "find out who wrote it; a token that it named ends at its `explicit_max_ttl`; then remove it",
            ),
            Some(_) => (
                "a record of the journal that is damaged or not of this host's making",
                "run `cofferdam sweep`, for other records of the file count; find out who wrote this one; a token that it named ends at its `explicit_max_ttl`; then remove the file",
            ),
        };
        Check::fault(ID, place.to_string(), what, cure)
    }));
    if checks.is_empty() {
        let what = format!("nothing was left behind ({live} in use)");
        checks.push(Check::ok(ID, place, what));
    }
    checks
}

const SWEEP: &str = "run `cofferdam sweep`, and find out who killed the process";

fn left_behind(place: &str, left: &LeftBehind) -> Check {
    let task = left
        .task
        .as_ref()
        .map(|task| format!(" of the task `{}`", crate::config::value::bounded(task)))
        .unwrap_or_default();
    let leases = match left.leases {
        0 => String::new(),
        1 => " with a lease".to_owned(),
        some => format!(" with {some} leases"),
    };
    let what = format!(
        "the {} {}{task}{leases} of {:.0} was left behind by a process that is gone; it may live",
        left.kind,
        crate::config::value::bounded(&left.id),
        left.created
    );
    Check::fault(ID, place, what, SWEEP)
}

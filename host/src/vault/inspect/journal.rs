//! What the journal says, without asking Vault and without ending anything.

use std::path::Path;

use jiff::Timestamp;

use crate::vault::journal::{AuthorityKind, Found, Journal, JournalError, Place, Seen};

/// What lies in the journal.
#[derive(Debug, Default)]
pub struct JournalFacts {
    /// How many records belong to processes that live.
    pub live: usize,
    /// Records of processes that are gone.
    pub left: Vec<LeftBehind>,
    /// Records that are damaged or not ours.
    pub unreadable: Vec<Place>,
}

/// A token whose process is gone. Its accessor is not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBehind {
    /// Log-in or attempt.
    pub kind: AuthorityKind,
    /// The run's id, or the log-in's.
    pub id: String,
    /// The task of an attempt.
    pub task: Option<String>,
    /// When the token was asked for.
    pub created: Timestamp,
    /// How many leases hang on it.
    pub leases: usize,
}

/// Looks at every record of the journal below this state folder.
///
/// # Errors
/// When the folder cannot be used, or others can touch it.
pub fn journal(state: &Path) -> Result<JournalFacts, JournalError> {
    let journal = Journal::new(state);
    let mut facts = JournalFacts::default();
    let mut seen = Seen::default();
    for path in journal.names()? {
        for found in journal.take(&path)? {
            match found {
                Found::Live(records) => facts.live += records,
                Found::Left(entry) if seen.earlier(&entry).is_some() => {}
                // Let go again: ending it is the sweep's work.
                Found::Left(entry) => {
                    seen.note(&entry, facts.left.len());
                    let intent = entry.intent();
                    facts.left.push(LeftBehind {
                        kind: intent.kind,
                        id: intent.id.clone(),
                        task: intent.task.clone(),
                        created: intent.created,
                        leases: entry.leases().len(),
                    });
                }
                Found::Unreadable(place) => facts.unreadable.push(place),
            }
        }
    }
    Ok(facts)
}

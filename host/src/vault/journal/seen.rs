//! Records that a kill left in two places, since a move was under way.

use std::collections::HashMap;

use super::Entry;
use super::record::Record;

/// What was found so far, each with a number of the finder's.
#[derive(Default)]
pub(in crate::vault) struct Seen(HashMap<String, Vec<(Record, usize)>>);

impl Seen {
    /// The number of an earlier entry that stands for the same token and names all
    /// that this one names. Files are found before the blocks that they replace.
    pub(in crate::vault) fn earlier(&self, entry: &Entry) -> Option<usize> {
        let same_run = self.0.get(&entry.record.intent.id)?;
        same_run
            .iter()
            .find(|(earlier, _)| earlier.covers(&entry.record))
            .map(|(_, number)| *number)
    }

    /// Takes one in.
    pub(in crate::vault) fn note(&mut self, entry: &Entry, number: usize) {
        let same_run = self.0.entry(entry.record.intent.id.clone()).or_default();
        same_run.push((entry.record.clone(), number));
    }
}

//! Which runs there are: those under way, and under which key each was
//! submitted.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::live::LiveRun;
use super::store::{KeyHash, Weight};
use crate::caller::Owner;
use crate::config::ResultsConfig;
use crate::digest::Digest;

/// All runs that are under way or kept.
#[derive(Default)]
pub(super) struct Registry {
    live: HashMap<Uuid, Arc<LiveRun>>,
    /// A tree, for it is large: a table that grows is copied whole, and all wait.
    keys: BTreeMap<KeyHash, (Uuid, Digest)>,
    /// Those that are over; ids sort by the moment of submission.
    kept: BTreeMap<Uuid, Kept>,
    /// The same by their end.
    ends: BTreeSet<(Timestamp, Uuid)>,
    /// The same by owner.
    of: HashMap<Owner, Share>,
    /// What they take on the disk, in bytes.
    bytes: u64,
    /// Those that are forgotten here, and perhaps not yet on the disk.
    gone: Vec<(Uuid, Weight)>,
}

/// A run that is over.
struct Kept {
    owner: Owner,
    key: KeyHash,
    ended: Timestamp,
    weight: Weight,
}

/// What is kept of one owner.
#[derive(Default)]
struct Share {
    /// By their end.
    runs: BTreeSet<(Timestamp, Uuid)>,
    bytes: u64,
}

impl Registry {
    /// The run of this key, with the digest of what was submitted under it.
    pub(super) fn by_key(&self, key: &KeyHash) -> Option<(Uuid, Digest)> {
        self.keys.get(key).copied()
    }

    /// A run under way.
    pub(super) fn live(&self, run: Uuid) -> Option<&Arc<LiveRun>> {
        self.live.get(&run)
    }

    /// All runs under way.
    pub(super) fn all_live(&self) -> Vec<Arc<LiveRun>> {
        self.live.values().cloned().collect()
    }

    /// Whose a run is that is over.
    pub(super) fn owner_of_kept(&self, run: Uuid) -> Option<&Owner> {
        self.kept.get(&run).map(|kept| &kept.owner)
    }

    /// The newest runs of an owner, in the order of their submission; those under way are all
    /// among them, however many they are, so that whoever looks for one that must not go on
    /// finds it, and of the others those that ended last.
    pub(super) fn newest_of(&self, owner: &Owner, most: usize) -> Vec<Uuid> {
        let live = self.live.values().filter(|live| live.owner == *owner);
        let mut runs: Vec<Uuid> = live.map(|live| live.run).collect();
        let left = most.saturating_sub(runs.len());
        let kept = self.of.get(owner).map(|share| share.runs.iter());
        runs.extend((kept.into_iter().flatten().rev().take(left)).map(|(_, run)| *run));
        runs.sort_unstable_by(|one, other| other.cmp(one));
        runs
    }

    pub(super) fn begin(&mut self, live: Arc<LiveRun>) {
        self.keys.insert(live.key, (live.run, live.submission));
        self.live.insert(live.run, live);
    }

    /// A run that was not begun after all.
    pub(super) fn refuse(&mut self, live: &LiveRun) {
        self.live.remove(&live.run);
        self.keys.remove(&live.key);
    }

    /// A run is over and kept.
    pub(super) fn end(&mut self, live: &LiveRun, ended: Timestamp) {
        self.live.remove(&live.run);
        let kept = Kept {
            owner: live.owner.clone(),
            key: live.key,
            ended,
            weight: live.weight(),
        };
        self.keep(live.run, kept);
    }

    /// A run that was found in the store.
    pub(super) fn found(
        &mut self,
        run: Uuid,
        owner: Owner,
        (key, submission): (KeyHash, Digest),
        ended: Timestamp,
        weight: Weight,
    ) {
        self.keys.insert(key, (run, submission));
        let kept = Kept {
            owner,
            key,
            ended,
            weight,
        };
        self.keep(run, kept);
    }

    fn keep(&mut self, run: Uuid, kept: Kept) {
        let bytes = kept.weight.total();
        let share = self.of.entry(kept.owner.clone()).or_default();
        share.runs.insert((kept.ended, run));
        share.bytes += bytes;
        self.bytes += bytes;
        self.ends.insert((kept.ended, run));
        self.kept.insert(run, kept);
    }

    /// How many are kept.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Forgets at most `at_once` of those whose time is over or that are too many, in
    /// number or in bytes. What was forgotten has to go from the disk too: it is told
    /// again until [`Registry::forgotten`]. Whether any went before their time comes
    /// with it.
    ///
    /// Of too many, whoever has most loses those that ended first: nobody can push
    /// out what others have, and who looks for a long run at its end still finds it.
    pub(super) fn expire(
        &mut self,
        now: Timestamp,
        results: &ResultsConfig,
        at_once: usize,
    ) -> (Vec<(Uuid, Weight)>, bool) {
        if !self.gone.is_empty() {
            return (self.gone.clone(), false);
        }
        let is_old = |ended: Timestamp| {
            let age = std::time::Duration::try_from(now.duration_since(ended));
            age.is_ok_and(|age| age > results.keep)
        };
        while self.gone.len() < at_once
            && let Some((ended, run)) = self.ends.first().copied()
            && is_old(ended)
        {
            self.forget(run);
        }
        let in_time = self.gone.len();
        let most = usize::try_from(results.most).unwrap_or(usize::MAX);
        let number = |share: &Share| share.runs.len() as u64;
        let bytes = |share: &Share| share.bytes;
        self.crowd_out(at_once, number, |all, _| all.kept.len() > most);
        let all = results.disk as u64;
        self.crowd_out(at_once, bytes, |registry, _| registry.bytes > all);
        let of_one = results.disk_per_caller as u64;
        self.crowd_out(at_once, bytes, |_, largest| largest > of_one);
        (self.gone.clone(), self.gone.len() > in_time)
    }

    /// What [`Registry::expire`] told is not on the disk any more.
    pub(super) fn forgotten(&mut self) {
        self.gone.clear();
    }

    /// Forgets what ended first of the owner who has most, again and again, as long as it is
    /// `too_much`: what there is, and how much this owner has.
    fn crowd_out(
        &mut self,
        at_once: usize,
        measure: impl Fn(&Share) -> u64,
        too_much: impl Fn(&Self, u64) -> bool,
    ) {
        if self
            .of
            .values()
            .all(|share| !too_much(self, measure(share)))
        {
            return;
        }
        let owners = self.of.iter();
        let mut owners: BinaryHeap<(u64, Owner)> = owners
            .map(|(owner, share)| (measure(share), owner.clone()))
            .collect();
        while self.gone.len() < at_once
            && let Some((size, owner)) = owners.pop()
            && too_much(self, size)
        {
            let share = self.of.get(&owner);
            if let Some((_, first)) = share.and_then(|share| share.runs.first().copied()) {
                self.forget(first);
                let left = self.of.get(&owner).map_or(0, &measure);
                owners.push((left, owner));
            }
        }
    }

    fn forget(&mut self, run: Uuid) {
        let Some(kept) = self.kept.remove(&run) else {
            return;
        };
        let bytes = kept.weight.total();
        self.gone.push((run, kept.weight));
        self.ends.remove(&(kept.ended, run));
        self.bytes = self.bytes.saturating_sub(bytes);
        // The key may name a later run by now.
        if self.keys.get(&kept.key).is_some_and(|(of, _)| *of == run) {
            self.keys.remove(&kept.key);
        }
        if let Some(share) = self.of.get_mut(&kept.owner) {
            share.runs.remove(&(kept.ended, run));
            share.bytes = share.bytes.saturating_sub(bytes);
            if share.runs.is_empty() {
                self.of.remove(&kept.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests;

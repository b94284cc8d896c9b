//! Which runs there are: those under way, and under which key each was
//! submitted.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::live::LiveRun;
use super::store::KeyHash;
use crate::caller::Owner;
use crate::digest::Digest;

/// All runs that are under way or kept.
#[derive(Default)]
pub(super) struct Registry {
    live: HashMap<Uuid, Arc<LiveRun>>,
    /// A tree, for it is large: a table that grows is copied whole, and all wait.
    keys: BTreeMap<KeyHash, (Uuid, Digest)>,
    /// Those that are over, the oldest first; ids sort by time.
    kept: BTreeMap<Uuid, Kept>,
    /// The same by owner.
    of: HashMap<Owner, BTreeSet<Uuid>>,
}

/// A run that is over.
struct Kept {
    owner: Owner,
    key: KeyHash,
    ended: Timestamp,
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

    /// The newest runs of an owner; those under way are all among them, however
    /// many they are, so that whoever looks for one that must not go on finds it.
    pub(super) fn newest_of(&self, owner: &Owner, most: usize) -> Vec<Uuid> {
        let live = self.live.values().filter(|live| live.owner == *owner);
        let mut runs: Vec<Uuid> = live.map(|live| live.run).collect();
        let left = most.saturating_sub(runs.len());
        let kept = self.of.get(owner).into_iter().flatten();
        runs.extend(kept.rev().take(left));
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
        self.keep(live.run, live.owner.clone(), live.key, ended);
    }

    /// A run that was found in the store.
    pub(super) fn found(
        &mut self,
        run: Uuid,
        owner: Owner,
        (key, submission): (KeyHash, Digest),
        ended: Timestamp,
    ) {
        self.keys.insert(key, (run, submission));
        self.keep(run, owner, key, ended);
    }

    fn keep(&mut self, run: Uuid, owner: Owner, key: KeyHash, ended: Timestamp) {
        self.of.entry(owner.clone()).or_default().insert(run);
        self.kept.insert(run, Kept { owner, key, ended });
    }

    /// How many are kept.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Forgets at most `at_once` of those that ended longer ago than `keep`, or
    /// are more than `most`; tells which. Of too many, whoever has most loses the
    /// oldest first: nobody can push out what others have.
    pub(super) fn expire(
        &mut self,
        now: Timestamp,
        keep: Duration,
        most: u64,
        at_once: usize,
    ) -> Vec<Uuid> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let is_old = |kept: &Kept| {
            let age = now.duration_since(kept.ended);
            Duration::try_from(age).is_ok_and(|age| age > keep)
        };
        let mut gone = Vec::new();
        // Sorted by their beginning: an old one that ended late may stand before
        // a younger one that has to go, so look a bit further.
        for (run, kept) in self.kept.iter().take(at_once) {
            if is_old(kept) {
                gone.push(*run);
            }
        }
        for run in &gone {
            self.forget(*run);
        }
        let too_many = self.kept.len().saturating_sub(most);
        gone.extend(self.crowd_out(too_many.min(at_once - gone.len())));
        gone
    }

    /// Forgets so many, each time the oldest of the owner who has most.
    fn crowd_out(&mut self, count: usize) -> Vec<Uuid> {
        if count == 0 {
            return Vec::new();
        }
        let sizes = self.of.iter();
        let mut sizes: BinaryHeap<(usize, Owner)> = sizes
            .map(|(owner, runs)| (runs.len(), owner.clone()))
            .collect();
        let mut gone = Vec::new();
        while gone.len() < count
            && let Some((size, owner)) = sizes.pop()
        {
            let oldest = self.of.get(&owner).and_then(|runs| runs.first().copied());
            if let Some(run) = oldest {
                self.forget(run);
                gone.push(run);
                sizes.push((size - 1, owner));
            }
        }
        gone
    }

    fn forget(&mut self, run: Uuid) {
        let Some(kept) = self.kept.remove(&run) else {
            return;
        };
        // The key may name a later run by now.
        if self.keys.get(&kept.key).is_some_and(|(of, _)| *of == run) {
            self.keys.remove(&kept.key);
        }
        if let Some(runs) = self.of.get_mut(&kept.owner) {
            runs.remove(&run);
            if runs.is_empty() {
                self.of.remove(&kept.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(ages: &[i64]) -> (Registry, Vec<Uuid>) {
        let mut registry = Registry::default();
        let owner = crate::caller::Caller::Unix {
            uid: 1,
            gid: 1,
            pid: None,
        }
        .owner();
        let mut runs = Vec::new();
        for (number, age) in ages.iter().enumerate() {
            let run = Uuid::now_v7();
            let key = KeyHash::of(&owner, &number.to_string());
            let ended = Timestamp::now() - jiff::SignedDuration::from_secs(*age);
            registry.found(run, owner.clone(), (key, Digest::of(b"")), ended);
            runs.push(run);
        }
        (registry, runs)
    }

    #[test]
    fn what_is_old_goes_and_what_is_too_much() {
        let (mut registry, runs) = filled(&[100, 5, 90, 1]);
        let minute = Duration::from_secs(60);
        let now = Timestamp::now();
        assert_eq!(registry.expire(now, minute, 10, 10), [runs[0], runs[2]]);
        assert_eq!(registry.kept(), 2);
        assert_eq!(registry.expire(now, minute, 1, 10), [runs[1]]);
        assert!(registry.expire(now, minute, 1, 10).is_empty());
    }

    #[test]
    fn who_has_most_loses_first() {
        let mut registry = Registry::default();
        let [few, many] = ["few", "many"].map(|name| Owner::from(name.to_owned()));
        let add = |registry: &mut Registry, owner: &Owner, number: u32| {
            let run = Uuid::now_v7();
            let key = KeyHash::of(owner, &number.to_string());
            let digest = Digest::of(b"");
            registry.found(run, owner.clone(), (key, digest), Timestamp::now());
            run
        };
        let old = add(&mut registry, &few, 0);
        let flood: Vec<_> = (0..50).map(|it| add(&mut registry, &many, it)).collect();
        let hour = Duration::from_secs(3_600);
        let gone = registry.expire(Timestamp::now(), hour, 10, 1_000);
        assert_eq!(gone, flood[..41]);
        assert_eq!(registry.newest_of(&few, 10), [old]);
        assert_eq!(registry.newest_of(&many, 2), [flood[49], flood[48]]);
        assert_eq!(registry.kept(), 10);
    }

    #[test]
    fn a_key_is_forgotten_with_its_run() {
        let (mut registry, runs) = filled(&[100]);
        let key = *registry.keys.keys().next().unwrap();
        assert_eq!(registry.by_key(&key).unwrap().0, runs[0]);
        registry.expire(Timestamp::now(), Duration::from_secs(1), 10, 10);
        assert_eq!(registry.by_key(&key), None);
    }
}

use std::time::Duration;

use super::*;
use crate::config::SyncedEnds;

const MIB: u64 = 1 << 20;

/// Keeps for a minute, ten runs, 8 MiB in all and 6 of one owner.
const RESULTS: ResultsConfig = ResultsConfig {
    keep: Duration::from_secs(60),
    most: 10,
    disk: 8 << 20,
    disk_per_caller: 6 << 20,
    sync: SyncedEnds::Grants,
};

/// A registry, and the clock by which its runs end.
#[derive(Default)]
struct Shelf {
    registry: Registry,
    number: u32,
}

impl Shelf {
    /// A run of this owner that ended so many seconds ago.
    fn add(&mut self, owner: &str, age: i64, bytes: u64) -> Uuid {
        let owner = Owner::from(owner.to_owned());
        self.number += 1;
        let run = Uuid::from_u128(u128::from(self.number));
        let key = KeyHash::of(&owner, &self.number.to_string());
        let ended = Timestamp::now() - jiff::SignedDuration::from_secs(age);
        let weight = Weight {
            head: 0,
            apart: bytes,
        };
        let keys = (key, Digest::of(b""));
        self.registry.found(run, owner, keys, ended, weight);
        run
    }

    /// The runs that go next, and whether before their time.
    fn expire(&mut self, results: &ResultsConfig, at_once: usize) -> (Vec<Uuid>, bool) {
        let (gone, is_early) = self.registry.expire(Timestamp::now(), results, at_once);
        self.registry.forgotten();
        (gone.into_iter().map(|(run, _)| run).collect(), is_early)
    }
}

#[test]
fn what_is_old_goes_and_what_is_too_much() {
    let mut shelf = Shelf::default();
    let runs = [100, 5, 90, 1].map(|age| shelf.add("one", age, 1));
    assert_eq!(shelf.expire(&RESULTS, 10), (vec![runs[0], runs[2]], false));
    assert_eq!(shelf.registry.kept(), 2);
    let one = ResultsConfig { most: 1, ..RESULTS };
    assert_eq!(shelf.expire(&one, 10), (vec![runs[1]], true));
    assert_eq!(shelf.expire(&one, 10), (vec![], false));
}

#[test]
fn long_runs_that_ended_lately_do_not_keep_the_others() {
    let mut shelf = Shelf::default();
    let long = ResultsConfig {
        most: 1_000,
        ..RESULTS
    };
    for _ in 0..200 {
        shelf.add("one", 1, 1);
    }
    let old = shelf.add("one", 100, 1);
    assert_eq!(shelf.expire(&long, 100), (vec![old], false));
}

#[test]
fn who_has_most_loses_first() {
    let mut shelf = Shelf::default();
    let old = shelf.add("few", 0, 1);
    let flood: Vec<_> = (0..50).map(|_| shelf.add("many", 0, 1)).collect();
    let (gone, is_early) = shelf.expire(&RESULTS, 1_000);
    assert!(is_early);
    assert_eq!(gone, flood[..41]);
    let [few, many] = ["few", "many"].map(|name| Owner::from(name.to_owned()));
    assert_eq!(shelf.registry.newest_of(&few, 10), [old]);
    assert_eq!(shelf.registry.newest_of(&many, 2), [flood[49], flood[48]]);
    assert_eq!(shelf.registry.kept(), 10);
}

/// However long ago it was submitted: whoever waits for it has not seen its end yet.
#[test]
fn who_has_too_much_loses_what_ended_first() {
    let mut shelf = Shelf::default();
    let [long, early, late] = [1, 30, 20].map(|age| shelf.add("one", age, 1));
    let of = |most| ResultsConfig { most, ..RESULTS };
    let one = Owner::from("one".to_owned());
    assert_eq!(shelf.registry.newest_of(&one, 2), [late, long]);
    assert_eq!(shelf.expire(&of(2), 10), (vec![early], true));
    assert_eq!(shelf.expire(&of(1), 10), (vec![late], true));
}

#[test]
fn bytes_count_for_each_and_for_all() {
    let mut shelf = Shelf::default();
    let results = ResultsConfig {
        most: 100,
        ..RESULTS
    };
    // Many runs are not much, and much is not many runs.
    let small: Vec<_> = (0..5).map(|_| shelf.add("small", 0, 10)).collect();
    let large: Vec<_> = (0..3).map(|_| shelf.add("large", 0, 3 * MIB)).collect();
    // 9 MiB are more than 8, and 6 of one are enough.
    assert_eq!(shelf.expire(&results, 100), (vec![large[0]], true));
    assert_eq!(shelf.expire(&results, 100), (vec![], false));
    let other = shelf.add("other", 0, MIB);
    assert_eq!(shelf.expire(&results, 100), (vec![], false));
    // More than one owner may have.
    let too_large = shelf.add("alone", 0, 7 * MIB);
    let (gone, _) = shelf.expire(&results, 100);
    assert_eq!(gone, [too_large]);
    for left in small.iter().chain(&large[1..]).chain([&other]) {
        assert!(shelf.registry.owner_of_kept(*left).is_some());
    }
    // At most so many at once.
    for _ in 0..6 {
        shelf.add("large", 0, MIB);
    }
    assert_eq!(shelf.expire(&results, 1).0, [large[1]]);
    assert_eq!(shelf.expire(&results, 1).0, [large[2]]);
    assert_eq!(shelf.expire(&results, 1), (vec![], false));
}

#[test]
fn what_is_forgotten_is_told_until_the_disk_has_heard() {
    let mut shelf = Shelf::default();
    let first = shelf.add("one", 100, 1);
    let now = Timestamp::now();
    let (gone, _) = shelf.registry.expire(now, &RESULTS, 10);
    assert_eq!(gone[0].0, first);
    assert_eq!(shelf.registry.kept(), 0);
    // The disk was full. More is over by now.
    let second = shelf.add("one", 100, 1);
    assert_eq!(shelf.registry.expire(now, &RESULTS, 10).0, gone);
    shelf.registry.forgotten();
    assert_eq!(shelf.expire(&RESULTS, 10).0, [second]);
}

#[test]
fn a_key_is_forgotten_with_its_run() {
    let mut shelf = Shelf::default();
    let run = shelf.add("one", 100, 1);
    let key = *shelf.registry.keys.keys().next().unwrap();
    assert_eq!(shelf.registry.by_key(&key).unwrap().0, run);
    shelf.expire(&RESULTS, 10);
    assert_eq!(shelf.registry.by_key(&key), None);
}

use std::collections::BTreeMap;

use super::*;
use crate::caller::Caller as Peer;

fn owner(uid: u32) -> Owner {
    Peer::Unix {
        uid,
        gid: 0,
        pid: None,
    }
    .owner()
}

fn task(name: &str) -> TaskName {
    name.parse().unwrap()
}

fn places(runs: u32) -> Places {
    Places {
        runs,
        per_caller: runs,
        per_task: runs,
        queue: 100,
        queue_per_caller: 50,
    }
}

/// The turn, if it has come.
fn has_come(ticket: &mut Ticket) -> bool {
    match ticket {
        Ticket::Now(_) => true,
        Ticket::Wait(receiver) => match receiver.try_recv() {
            Ok(turn) => {
                *ticket = Ticket::Now(turn);
                true
            }
            Err(_) => false,
        },
    }
}

#[test]
fn one_run_does_not_wait_behind_ten_of_another_caller() {
    let queue = Queue::new(places(1));
    let first = queue.enter(&owner(1), &task("a")).unwrap();
    let mut crowd: Vec<_> = (0..10)
        .map(|_| queue.enter(&owner(1), &task("a")).unwrap())
        .collect();
    let mut single = queue.enter(&owner(2), &task("a")).unwrap();
    drop(first);
    assert!(has_come(&mut crowd[0]), "he was there before");
    drop(crowd.remove(0));
    assert!(has_come(&mut single), "then the other caller");
    assert!(!has_come(&mut crowd[0]));
    drop(single);
    assert!(has_come(&mut crowd[0]));
    assert_eq!(
        queue.load(),
        Load {
            running: 1,
            waiting: 8
        }
    );
}

#[test]
fn a_task_at_its_limit_holds_up_nobody() {
    let queue = Queue::new(Places {
        per_task: 1,
        ..places(3)
    });
    let slow = queue.enter(&owner(1), &task("slow")).unwrap();
    let mut waits = queue.enter(&owner(1), &task("slow")).unwrap();
    let mut other = queue.enter(&owner(1), &task("other")).unwrap();
    assert!(has_come(&mut other));
    assert!(!has_come(&mut waits));
    let mut theirs = queue.enter(&owner(2), &task("slow")).unwrap();
    assert!(!has_come(&mut theirs), "the limit is the task's");
    drop(slow);
    assert!(has_come(&mut waits) ^ has_come(&mut theirs));
}

#[test]
fn a_caller_has_a_share_of_its_own() {
    let queue = Queue::new(Places {
        per_caller: 2,
        ..places(3)
    });
    let mut all: Vec<_> = (0..3)
        .map(|_| queue.enter(&owner(1), &task("a")).unwrap())
        .collect();
    assert!(has_come(&mut all[0]) && has_come(&mut all[1]));
    assert!(!has_come(&mut all[2]));
    let mut other = queue.enter(&owner(2), &task("a")).unwrap();
    assert!(has_come(&mut other));
    drop(all.remove(0));
    assert!(has_come(&mut all[1]));
}

#[test]
fn who_finds_no_room_is_told_at_once_and_who_left_makes_room() {
    let queue = Queue::new(Places {
        queue: 3,
        queue_per_caller: 2,
        ..places(1)
    });
    let _held = queue.enter(&owner(1), &task("a")).unwrap();
    let one = queue.enter(&owner(1), &task("a")).unwrap();
    let _two = queue.enter(&owner(1), &task("b")).unwrap();
    assert_eq!(queue.enter(&owner(1), &task("a")).err(), Some(Full::Caller));
    let _theirs = queue.enter(&owner(2), &task("a")).unwrap();
    assert_eq!(queue.enter(&owner(3), &task("a")).err(), Some(Full::Queue));
    drop(one);
    assert!(queue.enter(&owner(3), &task("a")).is_ok());
}

#[test]
fn nothing_is_lost_or_counted_twice_whatever_happens() {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let limits = Places {
        runs: 5,
        per_caller: 3,
        per_task: 4,
        queue: 20,
        queue_per_caller: 15,
    };
    let queue = Queue::new(limits);
    let mut tickets: Vec<(u32, u32, Ticket)> = Vec::new();
    for _ in 0..20_000 {
        if random.random_bool(0.5) {
            let (who, what) = (random.random_range(0..4), random.random_range(0..3));
            let entered = queue.enter(&owner(who), &task(&format!("t{what}")));
            tickets.extend(entered.ok().map(|ticket| (who, what, ticket)));
        } else if !tickets.is_empty() {
            // Both those who run and those who wait may go.
            tickets.swap_remove(random.random_range(0..tickets.len()));
        }
        let mut running = Vec::new();
        for (who, what, ticket) in &mut tickets {
            if has_come(ticket) {
                running.push((*who, *what));
            }
        }
        let load = queue.load();
        assert_eq!(load.running as usize, running.len());
        assert!(load.running <= limits.runs && load.waiting <= limits.queue);
        let (mut callers, mut tasks) = (BTreeMap::new(), BTreeMap::new());
        for (who, what) in running {
            *callers.entry(who).or_insert(0) += 1;
            *tasks.entry(what).or_insert(0) += 1;
        }
        assert!(callers.values().all(|n| *n <= limits.per_caller));
        assert!(tasks.values().all(|n| *n <= limits.per_task));
    }
    tickets.clear();
    assert_eq!(
        queue.load(),
        Load {
            running: 0,
            waiting: 0
        }
    );
}

#[test]
fn who_has_left_does_not_count_as_waiting() {
    let queue = Queue::new(places(1));
    let first = queue.enter(&owner(1), &task("a")).unwrap();
    let waiting: Vec<_> = (0..5)
        .map(|_| queue.enter(&owner(2), &task("a")).unwrap())
        .collect();
    let load = |waiting| Load {
        running: 1,
        waiting,
    };
    assert_eq!(queue.load(), load(5));
    drop(waiting);
    assert_eq!(queue.load(), load(0));
    drop(first);
}

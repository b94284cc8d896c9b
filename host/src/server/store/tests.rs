mod sharing;

use jiff::Timestamp;

use super::*;
use crate::api::{Attempt, RunState, RunView};
use crate::caller::Caller;
use crate::digest::Digest;

fn record(number: u32) -> Record {
    let owner = Caller::Unix {
        uid: 7,
        gid: 7,
        pid: None,
    }
    .owner();
    let key = KeyHash::of(&owner, &number.to_string());
    Record::new(
        owner,
        (key, Digest::of(b"")),
        RunView {
            run: Uuid::now_v7(),
            task: "hello".to_owned(),
            attempt: Attempt {
                bundle: String::new(),
                dag_id: "d".to_owned(),
                task_id: None,
                run_id: number.to_string(),
                try_number: 1,
                map_index: -1,
                logical_date: None,
            },
            state: RunState::Queued,
            submitted: Timestamp::now(),
            started: None,
            ended: None,
            terms: None,
            report: None,
            cancelled_by: None,
            swept: None,
        },
        None,
    )
}

fn all(store: &Store) -> Vec<String> {
    let mut runs = Vec::new();
    store
        .each(|_, record| runs.push(record.view.attempt.run_id))
        .unwrap();
    runs
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_there_for_the_next_service() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let many = (0..200).map(|number| {
        let (store, record) = (store.clone(), record(number));
        async move {
            store.put(record.view.run, &record).await.unwrap();
            record.view.run
        }
    });
    let runs = futures_util::future::join_all(many).await;
    store.forget(vec![runs[0], runs[199]]).await.unwrap();
    store.probe().await.unwrap();
    assert!(store.get(runs[0]).unwrap().is_none());
    let found = store.get(runs[3]).unwrap().unwrap();
    assert_eq!(found.view.attempt.run_id, "3");

    let busy = Store::open(folder.path()).err().unwrap();
    assert!(matches!(busy, StoreError::Busy { .. }), "{busy}");
    drop(store);
    // The writing thread ends a moment later.
    let store = loop {
        match Store::open(folder.path()) {
            Ok(store) => break store,
            Err(StoreError::Busy { .. }) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    };
    let left = all(&store);
    assert_eq!(left.len(), 198);
    assert!(
        left.iter()
            .zip(1..)
            .all(|(id, number)| *id == number.to_string())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn much_is_kept_apart_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for length in [10, 100_000] {
        let mut much = record(7);
        let run = much.view.run;
        let text = |letter: &str| serde_json::value::to_raw_value(&letter.repeat(length)).unwrap();
        (much.view.report, much.log) = (Some(text("r")), Some(text("l")));
        store.put(run, &much).await.unwrap();
        let found = store.get(run).unwrap().unwrap();
        assert_eq!(found.view.report.unwrap().get(), text("r").get());
        assert_eq!(found.log.unwrap().get(), text("l").get());
        let view = store.view(run).unwrap().unwrap();
        assert!(view.report.is_none());
        let mut heads = Vec::new();
        let head = |_, record: Record| heads.push(serde_json::to_vec(&record).unwrap().len());
        store.each(head).unwrap();
        assert!(heads.iter().all(|size| *size < 8 << 10), "{heads:?}");
        store.forget(vec![run]).await.unwrap();
        assert!(store.get(run).unwrap().is_none());
        assert!(store.database.read(&Part::Rest, run).unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_begins_anew_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let text = serde_json::value::to_raw_value(&"r".repeat(100 << 10)).unwrap();
    let mut runs = Vec::new();
    for number in 0..800 {
        let mut much = record(number);
        much.view.report = Some(text.clone());
        store.put(much.view.run, &much).await.unwrap();
        runs.push(much.view.run);
    }
    let log = folder.path().join(format!("{FILE}-wal"));
    let size = log.metadata().unwrap().len();
    // 80 MB went through it.
    assert!((1..40 << 20).contains(&size), "{size}");
    for run in runs {
        assert!(store.get(run).unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_began_does_not_hide_what_ended() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (mut one, mut other) = (record(1), record(2));
    other.view.run = one.view.run;
    store.begin(one.view.run, &one).await.unwrap();
    one.view.state = RunState::Ended;
    store.put(one.view.run, &one).await.unwrap();
    store.begin(other.view.run, &other).await.unwrap();
    let found = store.get(one.view.run).unwrap().unwrap();
    assert_eq!(found.view.state, RunState::Ended);
    assert_eq!(found.view.attempt.run_id, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_refused_with_a_cure() {
    use crate::diagnostic::Diagnostic as _;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), vec![7; 64 << 10]).unwrap();
    let error = Store::open(folder.path()).err().unwrap();
    assert!(error.hint().unwrap().contains("move `"), "{error}");
}

#[test]
fn keys_of_two_owners_do_not_meet() {
    let owner = |uid| {
        Caller::Unix {
            uid,
            gid: 0,
            pid: None,
        }
        .owner()
    };
    assert_ne!(KeyHash::of(&owner(1), "k"), KeyHash::of(&owner(2), "k"));
    assert_ne!(KeyHash::of(&owner(1), "1k"), KeyHash::of(&owner(11), "k"));
    assert_eq!(KeyHash::of(&owner(1), "k"), KeyHash::of(&owner(1), "k"));
}

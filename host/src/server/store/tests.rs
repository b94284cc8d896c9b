mod early;
mod sharing;

use std::sync::mpsc;
use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::Connection;

use super::*;
use crate::api::{Attempt, RunState, RunView};
use crate::audit::{AuditLog, Event};
use crate::caller::{Caller, Owner};
use crate::digest::Digest;

fn owner(uid: u32) -> Owner {
    Caller::Unix {
        uid,
        gid: 7,
        pid: None,
    }
    .owner()
}

fn view(number: u32) -> RunView {
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
    }
}

fn of(view: RunView, report: Option<&str>, log: Vec<Page>) -> Record {
    let keys = (
        KeyHash::of(&owner(7), &view.attempt.run_id),
        Digest::of(b""),
    );
    let report = report.map(|text| serde_json::value::to_raw_value(text).unwrap().into());
    Record::new(owner(7), keys, view, report, log)
}

fn record(number: u32) -> Record {
    of(view(number), None, Vec::new())
}

/// One that returned so many bytes.
fn much(number: u32, bytes: usize) -> Record {
    of(view(number), Some(&"r".repeat(bytes)), Vec::new())
}

fn id(record: &Record) -> Uuid {
    record.head.view.run
}

fn gone(record: &Record) -> (Uuid, Weight) {
    (id(record), record.head.weight())
}

/// The last line of a run in an audit.
fn ended(audit: &AuditLog, run: Uuid) -> Unsynced {
    let event = Event::RunEnded {
        outcome: "done",
        limits: &[],
        exit: 0,
        cancelled_by: None,
    };
    audit.recorder(&run.to_string()).last(&event).unwrap()
}

fn open(folder: &Path) -> Result<Store, StoreError> {
    Store::open(Claim::new(folder)?)
}

/// Opens it once the threads of the one before have ended.
fn open_again(folder: &Path) -> Store {
    loop {
        match open(folder) {
            Ok(store) => return store,
            Err(StoreError::Busy { .. }) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

async fn get(store: &Store, run: Uuid) -> Option<RunView> {
    let head = store.head(run).await.unwrap()?;
    store.view(head).await.unwrap()
}

/// What the file of large results takes on the disk.
fn large_size(folder: &Path) -> u64 {
    folder.join(LARGE_FILE).metadata().unwrap().len()
}

async fn all(store: &Store) -> Vec<String> {
    let push = |runs: &mut Vec<String>, _, head: Head| runs.push(head.view.attempt.run_id);
    store.each(Vec::new(), push).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_there_for_the_next_service() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let many = (0..200).map(|number| {
        let (store, record) = (store.clone(), record(number));
        async move {
            store.put(id(&record), &record).await.unwrap();
            gone(&record)
        }
    });
    let runs = futures_util::future::join_all(many).await;
    store.forget(&[runs[0], runs[199]]).await.unwrap();
    store.probe().await.unwrap();
    assert!(get(&store, runs[0].0).await.is_none());
    let found = get(&store, runs[3].0).await.unwrap();
    assert_eq!(found.attempt.run_id, "3");

    let busy = open(folder.path()).err().unwrap();
    assert!(matches!(busy, StoreError::Busy { .. }), "{busy}");
    drop(store);
    let store = open_again(folder.path());
    store.check().await.unwrap();
    let left = all(&store).await;
    assert_eq!(left.len(), 198);
    assert!(
        left.iter()
            .zip(1..)
            .all(|(id, number)| *id == number.to_string())
    );
}

/// Pages of so many lines each.
fn pages(lines: u64, of: u64) -> Vec<Page> {
    let page = |at: u64| {
        let lines = (at * of + 1..=(at + 1) * of).map(|line| format!("{{\"line\":{line}}}\n"));
        Page {
            last: (at + 1) * of,
            text: Bytes::from(lines.collect::<String>()),
        }
    };
    (0..lines / of).map(page).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn much_is_kept_apart_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    for (length, lines) in [(10, 20), (5 << 20, 20), (10, 20_000), (3 << 20, 20_000)] {
        let text = "r".repeat(length);
        let log = pages(lines, lines / 10);
        let record = of(view(7), Some(&text), log.clone());
        let run = id(&record);
        store.put(run, &record).await.unwrap();
        let found = get(&store, run).await.unwrap();
        assert_eq!(found.report.unwrap().get(), format!("\"{text}\""));
        // The log is read page by page, from anywhere.
        let head = store.head(run).await.unwrap().unwrap();
        assert_eq!(head.weight(), record.head.weight());
        assert_eq!(head.log().lines, lines);
        for after in [0, lines / 10, lines / 10 + 1, lines - 1] {
            let page = store.page(run, head.log(), after).await.unwrap();
            let page = page.and_then(|page| page.after(after)).unwrap();
            let line = page.lines().next().unwrap();
            assert_eq!(line.0, after + 1);
            assert_eq!(line.1, format!("{{\"line\":{}}}", after + 1).as_bytes());
        }
        let views = store.views(vec![run]).await.unwrap();
        assert!(views[0].report.is_none());
        assert!(head.write().unwrap().len() < 8 << 10);
        store.forget(&[gone(&record)]).await.unwrap();
        assert!(get(&store, run).await.is_none());
        let left = store.large.database.read(apart::runs).await.unwrap();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_little_to_tell_does_not_wait_for_who_has_much() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let large = much(1, 200 << 20);
    let begun = Instant::now();
    let putting = {
        let store = store.clone();
        tokio::spawn(async move { store.put(id(&large), &large).await.unwrap() })
    };
    // Others come while it is written.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let small = record(2);
    store.begin(id(&small), &small, Pace::Soon).await.unwrap();
    let (waited, is_done) = (begun.elapsed(), putting.is_finished());
    assert!(!is_done, "the large one was there after {waited:?}");
    putting.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_goes_back_to_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let mut runs = Vec::new();
    for number in 0..100 {
        let much = much(number, 1 << 20);
        store.put(id(&much), &much).await.unwrap();
        runs.push(gone(&much));
    }
    store.given_back().await.unwrap();
    assert!(large_size(folder.path()) > 95 << 20, "the file holds them");
    let last = runs.pop().unwrap();
    store.forget(&runs).await.unwrap();
    let mut steps = 0;
    while store.give_back().await.unwrap() {
        steps += 1;
    }
    store.given_back().await.unwrap();
    let size = large_size(folder.path());
    assert!(size < 25 << 20, "{size}");
    assert!(steps > 50, "a little at a time: {steps}");
    // What was moved is whole.
    let view = get(&store, last.0).await.unwrap();
    assert_eq!(view.report.unwrap().get().len(), (1 << 20) + 2);
    drop(store);
    let store = open_again(folder.path());
    store.large.database.check().await.unwrap();
    assert!(get(&store, last.0).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_head_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let [known, lost] = [1, 2].map(|number| much(number, 100_000));
    store.put(id(&known), &known).await.unwrap();
    // The service dies between the two files.
    store.put_parts(id(&lost), &lost).await.unwrap();
    let known = id(&known);
    store.forget_others(&HashSet::from([known])).await.unwrap();
    let left = store.large.database.read(apart::runs).await.unwrap();
    assert_eq!(left, [known]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_begins_anew_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let mut runs = Vec::new();
    for number in 0..800 {
        let much = much(number, 100 << 10);
        store.put(id(&much), &much).await.unwrap();
        runs.push(id(&much));
    }
    let log = folder.path().join(format!("{LARGE_FILE}-wal"));
    let size = log.metadata().unwrap().len();
    // 80 MB went through it.
    assert!((1..40 << 20).contains(&size), "{size}");
    for run in runs {
        assert!(get(&store, run).await.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_began_does_not_hide_what_ended() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let (mut one, mut other) = (record(1), record(2));
    let run = id(&one);
    other.head.view.run = run;
    store.begin(run, &one, Pace::Soon).await.unwrap();
    one.head.view.state = RunState::Ended;
    store.put(run, &one).await.unwrap();
    store.begin(run, &other, Pace::Soon).await.unwrap();
    let found = get(&store, run).await.unwrap();
    assert_eq!(found.state, RunState::Ended);
    assert_eq!(found.attempt.run_id, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_refused_with_a_cure() {
    use crate::diagnostic::Diagnostic as _;
    for file in [FILE, LARGE_FILE] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(file), vec![7; 64 << 10]).unwrap();
        let error = open(folder.path()).err().unwrap();
        assert!(error.hint().unwrap().contains("move `"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_version_is_refused_and_stays_as_it_is() {
    use crate::diagnostic::Diagnostic as _;
    for file in [FILE, LARGE_FILE] {
        for form in [1, 99] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(file);
            let later = Connection::open(&path).unwrap();
            later
                .execute_batch(&format!(
                    "create table x (y); pragma user_version = {form};"
                ))
                .unwrap();
            drop(later);
            let before = std::fs::read(&path).unwrap();
            let error = open(folder.path()).err().unwrap();
            assert!(error.to_string().contains("another version"), "{error}");
            assert!(error.hint().unwrap().contains("the version that wrote it"));
            assert!(std::fs::read(&path).unwrap() == before, "{file} {form}");
        }
    }
}

/// A damaged page is found by a check, which is no part of opening: what a start sweeps
/// does not wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn opening_does_not_look_through_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    for number in 0..2_000 {
        let record = record(number);
        store.put(id(&record), &record).await.unwrap();
    }
    while !store.heads.database.take_over().await.unwrap() {}
    drop(store);
    drop(open_again(folder.path()));
    let path = folder.path().join(FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4_096 * 4_096;
    bytes[middle..middle + 4_096].fill(0xff);
    loop {
        // The thread that takes over may have it open yet.
        match Claim::new(folder.path()) {
            Ok(_) => break,
            Err(_) => std::thread::yield_now(),
        }
    }
    std::fs::write(&path, bytes).unwrap();
    let store = open_again(folder.path());
    let error = store.check().await.unwrap_err();
    assert!(matches!(error, StoreError::Database { .. }), "{error}");
}

/// Whether the audit is on the disk is told, whatever became of the result.
#[tokio::test(flavor = "multi_thread")]
async fn the_audit_is_synced_though_a_large_result_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let other = Connection::open(folder.path().join(LARGE_FILE)).unwrap();
    other.execute_batch("drop table reports").unwrap();
    let record = much(1, 100_000);
    let run = id(&record);
    for (audit, fails) in [
        (AuditLog::on_full_disk(), true),
        (
            AuditLog::create(&folder.path().join("audit")).unwrap(),
            false,
        ),
    ] {
        let unkept = store
            .put_after(ended(&audit, run), run, &record, Pace::Soon)
            .await
            .unwrap_err();
        assert_eq!(matches!(unkept, Unkept::Audit(_)), fails, "{unkept:?}");
    }
    // A head without its report would be a lie.
    assert!(store.head(run).await.unwrap().is_none());
}

#[tokio::test]
async fn who_reads_does_not_hold_up_the_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let record = record(1);
    store.put(id(&record), &record).await.unwrap();
    let reader = store.heads.database.reader();
    // The disk takes its time. This runtime has one thread, which goes on.
    let (disk, waits) = mpsc::channel::<()>();
    let (holds, held) = mpsc::channel();
    std::thread::spawn(move || {
        let _reader = reader.lock();
        holds.send(()).unwrap();
        // Not for ever, or a runtime that is held up would never say so.
        let _ = waits.recv_timeout(Duration::from_secs(5));
    });
    held.recv().unwrap();
    let reading = {
        let (store, run) = (store.clone(), id(&record));
        tokio::spawn(async move { get(&store, run).await })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!reading.is_finished(), "it was not held up");
    drop(disk);
    assert!(reading.await.unwrap().is_some());
}

#[test]
fn what_has_an_end_is_over_whatever_a_later_service_calls_it() {
    let later = |ended: &str| {
        let head = String::from_utf8(record(1).head.write().unwrap()).unwrap();
        let head = head.replacen("\"queued\"", &format!("\"archived\"{ended}"), 1);
        Head::read(head.as_bytes()).unwrap()
    };
    let head = later(",\"ended\":\"2026-11-28T00:00:00Z\"");
    assert_eq!(head.view.state, RunState::Unknown);
    assert!(head.ended().is_some());
    assert!(later("").ended().is_none());
}

#[test]
fn keys_of_two_owners_do_not_meet() {
    assert_ne!(KeyHash::of(&owner(1), "k"), KeyHash::of(&owner(2), "k"));
    assert_ne!(KeyHash::of(&owner(1), "1k"), KeyHash::of(&owner(11), "k"));
    assert_eq!(KeyHash::of(&owner(1), "k"), KeyHash::of(&owner(1), "k"));
}

//! Who is told before the disk has what was written.

use tempfile::TempDir;

use super::super::early::LATER;
use super::sharing::{WRITERS, commits};
use super::*;
use crate::lock::Mutex;

/// How often the disk was asked for: the results, the audit.
fn syncs(store: &Store, audit: &AuditLog) -> (usize, usize) {
    (store.syncs(), audit.syncs())
}

/// A store and a chain beside it, in a folder that goes with the value.
fn begun() -> (TempDir, Store, AuditLog) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let audit = AuditLog::create(&folder.path().join("audit")).unwrap();
    (folder, store, audit)
}

async fn becomes(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_when_it_is_written_and_the_disk_is_asked_soon() {
    let (_folder, store, audit) = begun();
    let mut was_before = false;
    for number in 0..20 {
        let record = record(number);
        let run = id(&record);
        let before = syncs(&store, &audit);
        let begun = Instant::now();
        let last = ended(&audit, run);
        store.put_early(last, run, &record).await.unwrap();
        let after = syncs(&store, &audit);
        was_before |= begun.elapsed() < LATER && before == after;
        // It outlasts this process: another one would find both.
        let lines = std::fs::read_to_string(audit.path()).unwrap();
        assert!(lines.contains(&run.to_string()), "{lines}");
        assert!(get(&store, run).await.is_some());
        becomes("the disk is asked", || {
            let now = syncs(&store, &audit);
            now.0 > before.0 && now.1 > before.1
        })
        .await;
    }
    assert!(was_before, "the disk was waited for each time");
    assert!(store.late_failure().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn they_share_commits_and_what_the_disk_is_asked_for() {
    let (folder, store, audit) = begun();
    let before = (commits(folder.path()), syncs(&store, &audit));
    let put = |number: u32| {
        let (store, record) = (store.clone(), record(number));
        let last = ended(&audit, id(&record));
        async move { store.put_early(last, id(&record), &record).await }
    };
    let kept = futures_util::future::join_all((0..WRITERS).map(put)).await;
    assert!(kept.iter().all(Result::is_ok));
    assert_eq!(all(&store).await.len(), WRITERS as usize);
    let commits = commits(folder.path()) - before.0;
    assert!((1..WRITERS as usize / 4).contains(&commits), "{commits}");
    becomes("the disk is asked", || store.syncs() > before.1.0).await;
    let made = syncs(&store, &audit);
    let (results, audits) = (made.0 - before.1.0, made.1 - before.1.1);
    assert!(results <= commits && audits <= commits, "{made:?}");
}

/// As a service that ends does.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_the_disk_has_on_it_what_was_told_early() {
    let (_folder, store, audit) = begun();
    let mut was_before = false;
    for number in 0..20 {
        let (record, begun) = (record(number), Instant::now());
        let last = ended(&audit, id(&record));
        store.put_early(last, id(&record), &record).await.unwrap();
        let before = store.syncs();
        store.sync().await.unwrap();
        assert!(store.syncs() > before);
        // Else what was told early was due by itself.
        was_before |= begun.elapsed() < LATER;
    }
    assert!(was_before, "the disk was asked later each time");
}

/// One who waits for the disk has all that was written before on it.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_the_disk_is_not_told_early() {
    let (_folder, store, audit) = begun();
    for number in 0..20 {
        let (early, late) = (record(2 * number), record(2 * number + 1));
        let last = ended(&audit, id(&early));
        store.put_early(last, id(&early), &early).await.unwrap();
        let before = syncs(&store, &audit);
        let last = ended(&audit, id(&late));
        let kept = store.put_after(last, id(&late), &late, Pace::Soon).await;
        kept.unwrap();
        let now = syncs(&store, &audit);
        assert!(now.0 > before.0 && now.1 > before.1, "{before:?} {now:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_for_the_audit_it_is_told_so_and_nothing_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let (full, record) = (AuditLog::on_full_disk(), record(1));
    let last = ended(&full, id(&record));
    let unkept = store.put_early(last, id(&record), &record).await;
    assert!(matches!(unkept, Err(Unkept::Audit(_))), "{unkept:?}");
    assert!(get(&store, id(&record)).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_the_disk_refuses_afterwards_takes_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let audit = AuditLog::without_a_disk();
    let (one, other) = (record(1), record(2));
    let last = ended(&audit, id(&one));
    let before = store.syncs();
    store.put_early(last, id(&one), &one).await.unwrap();
    becomes("the chain is closed", || audit.is_closed()).await;
    becomes("its result is synced", || store.syncs() > before).await;
    let event = Event::LoginClosed {
        revoked: true,
        reason: None,
    };
    assert!(audit.recorder("r").last(&event).is_err());
    // Those with another chain go on.
    let audit = AuditLog::create(&folder.path().join("audit")).unwrap();
    let last = ended(&audit, id(&other));
    store.put_early(last, id(&other), &other).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_the_disk_refuses_afterwards_are_told_once() {
    let (_folder, store, audit) = begun();
    let record = record(1);
    store.heads.pen.sync_nowhere();
    let last = ended(&audit, id(&record));
    store.put_early(last, id(&record), &record).await.unwrap();
    let told = Mutex::new(None);
    becomes("it is told", || {
        let mut told = told.lock();
        *told = told.take().or_else(|| store.late_failure());
        told.is_some()
    })
    .await;
    assert!(store.late_failure().is_none(), "once");
    // It is opened anew, and keeps.
    store.probe().await.unwrap();
    assert!(get(&store, id(&record)).await.is_some());
}

/// Without the thread the other one tells, once the disk has it.
#[tokio::test(flavor = "multi_thread")]
async fn when_its_thread_is_gone_the_disk_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).unwrap();
    let audit = AuditLog::create(&folder.path().join("audit")).unwrap();
    let record = record(1);
    store.early.lose();
    let before = syncs(&store, &audit);
    let last = ended(&audit, id(&record));
    store.put_early(last, id(&record), &record).await.unwrap();
    let now = syncs(&store, &audit);
    assert!(now.0 > before.0 && now.1 > before.1, "{before:?} {now:?}");
    assert!(get(&store, id(&record)).await.is_some());
}

//! Who writes at the same time shares what costs.

use std::path::Path;

use super::super::FILE;
use super::{Pace, open, record};
use crate::audit::{AuditLog, Event};
use uuid::Uuid;

/// Those who write at the same time.
const WRITERS: u32 = 400;

/// Commits in the log of the file, each of which is a sync: frames that say how large the
/// file is after them (<https://sqlite.org/fileformat2.html#walformat>).
fn commits(folder: &Path) -> usize {
    let log = std::fs::read(folder.join(format!("{FILE}-wal"))).unwrap();
    let page = u32::from_be_bytes(log[8..12].try_into().unwrap()) as usize;
    let frames = log[32..].chunks_exact(24 + page);
    frames.filter(|frame| frame[4..8] != [0; 4]).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_and_the_sync_of_the_audit_before_it_are_shared() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let audit = AuditLog::create(&folder.path().join("audit")).unwrap();
    // One who comes alone has one of each to himself.
    let put = |number: u32| {
        let (store, record, run) = (store.clone(), record(number), Uuid::now_v7());
        let ended = Event::RunEnded {
            outcome: "done",
            limits: &[],
            exit: 0,
            cancelled_by: None,
        };
        let last = audit.recorder(&run.to_string()).last(&ended).unwrap();
        async move { store.put_after(last, run, &record, Pace::Soon).await }
    };
    put(0).await.unwrap();
    let (before, synced) = (commits(folder.path()), audit.syncs());
    put(1).await.unwrap();
    let made = || (commits(folder.path()) - before, audit.syncs() - synced);
    assert_eq!(made(), (1, 1));

    let kept = futures_util::future::join_all((0..WRITERS).map(put)).await;
    assert!(kept.iter().all(Result::is_ok));
    // A few are on their way before the others come.
    let (commits, syncs) = made();
    let few = 2..WRITERS as usize / 4;
    assert!(few.contains(&commits), "{commits} commits");
    assert!(few.contains(&syncs), "{syncs} syncs");
}

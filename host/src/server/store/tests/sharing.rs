//! Who writes at the same time shares what costs.

use std::path::Path;

use super::super::FILE;
use super::{Pace, ended, open, record};
use crate::audit::AuditLog;
use uuid::Uuid;

/// Those who write at the same time.
pub(super) const WRITERS: u32 = 400;

/// Commits in the log of the file: frames that say how large the
/// file is after them (<https://sqlite.org/fileformat2.html#walformat>).
pub(super) fn commits(folder: &Path) -> usize {
    let log = std::fs::read(folder.join(format!("{FILE}-wal"))).unwrap();
    let page = u32::from_be_bytes(log[8..12].try_into().unwrap()) as usize;
    let frames = log[32..].chunks_exact(24 + page);
    frames.filter(|frame| frame[4..8] != [0; 4]).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_and_its_sync_and_the_sync_of_the_audit_before_it_are_shared() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let audit = AuditLog::create(&folder.path().join("audit")).unwrap();
    // One who comes alone has one of each to himself.
    let put = |number: u32| {
        let (store, record, run) = (store.clone(), record(number), Uuid::now_v7());
        let last = ended(&audit, run);
        async move { store.put_after(last, run, &record, Pace::Soon).await }
    };
    put(0).await.unwrap();
    let count = || (commits(folder.path()), store.syncs(), audit.syncs());
    let before = count();
    put(1).await.unwrap();
    let made = || {
        let now = count();
        (now.0 - before.0, now.1 - before.1, now.2 - before.2)
    };
    assert_eq!(made(), (1, 1, 1));

    let kept = futures_util::future::join_all((0..WRITERS).map(put)).await;
    assert!(kept.iter().all(Result::is_ok));
    // A few are on their way before the others come.
    let (commits, syncs, audits) = made();
    let few = 2..WRITERS as usize / 4;
    assert!(few.contains(&commits), "{commits} commits");
    assert!(few.contains(&syncs), "{syncs} syncs");
    assert!(few.contains(&audits), "{audits} syncs of the audit");
}

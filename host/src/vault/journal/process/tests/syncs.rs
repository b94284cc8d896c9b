//! What is on the disk, and who waits for it.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_who_wait_at_one_time_share_the_syncs_of_their_file() {
    const MANY: usize = 200;
    let state = state();
    let journal = Journal::new(state.path());
    let mut entries: Vec<_> = (0..MANY)
        .map(|number| begun(&journal, &format!("r{number}")))
        .collect();
    // All lines are in the kernel before anybody waits.
    let written: Vec<_> = entries
        .iter_mut()
        .enumerate()
        .map(|(number, entry)| entry.leased(&lease(number)))
        .collect();
    let text = std::fs::read_to_string(file(&journal)).expect("there");
    assert_eq!(text.matches("{\"lease\"").count(), MANY);
    let many = written
        .into_iter()
        .map(|written| tokio::spawn(written.synced()));
    for one in join_all(many).await {
        one.expect("no panic").expect("synced");
    }
    let made = segment(&journal).file.syncs_made();
    assert!((1..=MANY / 4).contains(&made), "{made}");
    // One who comes later is not told of those.
    let later = entries[0].leased(&lease(MANY));
    later.synced().await.expect("synced");
    assert_eq!(segment(&journal).file.syncs_made(), made + 1);
    // A child token has nothing to wait for.
    let child = entries[1].made(accessor("r1"), Keep::WithLogin);
    child.synced().await.expect("written");
    assert_eq!(segment(&journal).file.syncs_made(), made + 1);
    entries.into_iter().for_each(Entry::done);
}

/// Nobody has to wait for what he wrote to be found by a sweep.
#[tokio::test]
async fn who_gives_up_the_waiting_loses_nothing() {
    let state = state();
    let journal = Journal::new(state.path());
    let mut entry = begun(&journal, "a");
    drop(entry.made(accessor("a"), Keep::OnDisk).synced());
    let mut waiting = Box::pin(entry.leased(&lease(1)).synced());
    assert!(futures_util::poll!(&mut waiting).is_pending());
    drop(waiting);
    drop(entry.leased(&lease(2)));
    let (_folder, after) = killed(&journal);
    let sight = unheld(&after, &file(&after));
    assert_eq!(sight.ids(), ["a"]);
    assert!(sight.left[0].accessor().is_some());
    assert_eq!(sight.left[0].leases(), [lease(1), lease(2)]);
    assert_eq!(entry.leases(), [lease(1), lease(2)]);
    entry.done();
}

#[tokio::test]
async fn after_a_sync_that_failed_a_new_segment_begins() {
    let state = state();
    let journal = Journal::new(state.path());
    let mut entry = begun(&journal, "a");
    let made = entry.made(accessor("a"), Keep::OnDisk);
    made.synced().await.expect("synced");
    let other = begun(&journal, "b");
    let broken = segment(&journal);
    broken.file.fail();

    let next = begun(&journal, "c");
    let healthy = segment(&journal);
    assert_ne!(healthy.file.path, broken.file.path);
    assert_eq!(slot(&next).file.path, healthy.file.path);
    // A kill loses nothing of the old one.
    let (_folder, after) = killed(&journal);
    let paths = after.names().expect("listed");
    let ids: Vec<_> = paths.iter().map(|path| unheld(&after, path)).collect();
    let ids: Vec<_> = ids.iter().flat_map(Sight::ids).collect();
    assert_eq!(ids, ["a", "b", "c"]);

    // Who is in the old one has his next lease on the disk all the same.
    let written = entry.leased(&lease(1));
    let own = slot(&entry).file.path.clone();
    assert!(own != broken.file.path && own != healthy.file.path);
    written.synced().await.expect("synced");
    assert_eq!(look(&journal, &broken.file.path).live, 1, "it moved");
    // The old one goes with the last who has a block of it.
    other.done();
    assert!(!broken.file.path.exists());
    [entry, next].into_iter().for_each(Entry::done);
    assert_eq!(file(&journal), healthy.file.path);
}

/// A guest that asks again and again while no sync succeeds.
#[tokio::test]
async fn of_many_failures_in_a_row_two_files_are_left() {
    let state = state();
    let journal = Journal::new(state.path());
    let mut entry = begun(&journal, "a");
    let block = segment(&journal).file.path.clone();
    for number in 1..20 {
        slot(&entry).file.fail();
        drop(entry.leased(&lease(number)));
        assert!(block.exists());
        assert!(names(&journal).len() <= 3, "{:?}", names(&journal));
    }
    assert_eq!(
        look(&journal, &block).live,
        1,
        "the block is what the disk has"
    );
    slot(&entry).file.fail();
    entry.leased(&lease(20)).synced().await.expect("synced");
    assert_eq!(look(&journal, &block).live, 0);
    let (_folder, after) = killed(&journal);
    let own = unheld(&after, &after.names().expect("listed")[0]);
    assert_eq!(own.left[0].leases().len(), 20);
    entry.done();
}

/// A real failure: of a file that has no disk.
#[tokio::test]
async fn a_failed_sync_is_told_to_all_who_wait() {
    let state = state();
    let journal = Journal::new(state.path());
    let (read, _write) = std::io::pipe().expect("a pipe");
    let pipe = std::fs::File::from(std::os::fd::OwnedFd::from(read));
    let path = journal.shelf.folder.join("attempts-x.journal");
    let file = super::super::super::file::LockedFile::of(pipe, path);
    assert!(!file.has_failed());
    let all = join_all((0..3).map(|_| file.synced())).await;
    assert!(all.iter().all(Result::is_err));
    assert!(file.has_failed());
}

/// The folder is moved away at the moment of its sync: the names in it are on no
/// disk that anybody knows of.
#[tokio::test]
async fn no_line_counts_before_the_name_of_its_file_is_on_the_disk() {
    let state = state();
    let journal = Journal::new(state.path());
    let mut early = begun(&journal, "a");
    let folder = journal.shelf.folder.clone();
    let elsewhere = state.path().join("elsewhere");
    let written = early.leased(&lease(1));
    std::fs::rename(&folder, &elsewhere).expect("moved");
    assert!(written.synced().await.is_err());
    std::fs::rename(&elsewhere, &folder).expect("back");
    // It was not opened: what the disk has is known, and the next one asks again.
    let mut late = begun(&journal, "b");
    assert_eq!(slot(&late).file.path, slot(&early).file.path);
    assert!(!segment(&journal).file.is_named());
    late.leased(&lease(1)).synced().await.expect("synced");
    assert!(segment(&journal).file.is_named());

    // Once it is there, nobody asks again.
    let written = late.leased(&lease(2));
    std::fs::rename(&folder, &elsewhere).expect("moved");
    written.synced().await.expect("synced");
    std::fs::rename(&elsewhere, &folder).expect("back");
    [early, late].into_iter().for_each(Entry::done);
}

#[test]
fn what_could_not_be_written_is_told_until_a_probe_succeeds_which_leaves_nothing() {
    let state = state();
    let journal = Journal::new(state.path());
    let folder = state.path().join("journal");
    DirBuilder::new().mode(0o700).create(&folder).expect("made");
    let open_to = |mode| {
        let mode = PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&folder, mode).expect("changed");
    };
    assert!(!journal.is_troubled());
    open_to(0o755);
    assert!(journal.begin(intent("a")).is_err());
    assert!(journal.is_troubled());
    assert!(journal.probe().is_err());
    assert!(journal.is_troubled(), "it is told until it works");
    open_to(0o700);
    journal.probe().expect("it works");
    assert!(!journal.is_troubled());
    assert_eq!(names(&journal), Vec::<String>::new());
    journal.begin(intent("b")).expect("begun").done();
    assert!(!journal.is_troubled());
}

//! Disks and hands that leave a journal as nobody wrote it.

use super::*;

#[tokio::test]
async fn a_damaged_block_takes_nothing_from_the_others() {
    let state = state();
    let journal = Journal::new(state.path());
    let entries = ["a", "b", "c"].map(|id| begun(&journal, id));
    let (_folder, after) = killed(&journal);
    let path = file(&after);
    let damaged = slot(&entries[1]).place().block;
    let raw = OpenOptions::new().write(true).open(&path).expect("there");
    let at = u64::from(damaged.expect("a block")) * BLOCK as u64;
    raw.write_all_at(b"garbage", at).expect("written");
    drop(raw);
    for _ in 0..2 {
        let sight = unheld(&after, &path);
        let place = Place {
            path: path.clone(),
            block: damaged,
        };
        assert_eq!(sight.unreadable, [place]);
        let shown = sight.unreadable[0].to_string();
        assert!(
            shown.ends_with(&format!(".journal, block {}", damaged.expect("one"))),
            "{shown}"
        );
        sight.left.into_iter().for_each(Entry::done);
        assert!(path.exists(), "it may tell of something");
    }
    entries.into_iter().for_each(Entry::done);
}

/// A block that the disk does not give.
#[test]
fn what_cannot_be_read_of_a_segment_takes_nothing_from_the_others() {
    let state = state();
    let folder = std::fs::File::open(state.path()).expect("a folder, which nobody can read");
    let length = folder.metadata().expect("there").len();
    assert!(length > 0, "no file system of this kind");
    let blocks = find::blocks(&folder).expect("inspected");
    assert_eq!(blocks.len() as u64, length.div_ceil(BLOCK as u64));
    assert!(blocks.iter().all(|(_, text)| text == b"?"));
}

/// A segment longer than any of ours.
#[test]
fn blocks_beyond_the_last_are_told_and_kept() {
    let state = state();
    let journal = Journal::new(state.path());
    begun(&journal, "a").done();
    let path = journal.shelf.folder.join("attempts-x.journal");
    let raw = std::fs::File::create(&path).expect("made");
    raw.write_all_at(&intent("b").line(), 0).expect("written");
    raw.write_all_at(b"{", u64::from(MOST_BLOCKS) * BLOCK as u64)
        .expect("written");
    drop(raw);
    let mut sight = unheld(&journal, &path);
    assert_eq!(sight.ids(), ["b"]);
    assert_eq!(sight.unreadable[0].block, Some(MOST_BLOCKS));
    sight.left.pop().expect("b").done();
    assert!(path.exists());
}

#[test]
fn a_folder_that_was_tidied_by_hand_costs_nothing() {
    let state = state();
    let journal = Journal::new(state.path());
    begun(&journal, "a").done();
    std::fs::remove_file(file(&journal)).expect("removed");
    let entry = begun(&journal, "b");
    assert_eq!(look(&journal, &file(&journal)).live, 1);
    entry.done();
}

/// Who is in a file that somebody removes is found again with his next line.
#[tokio::test]
async fn no_line_goes_into_a_file_without_a_name() {
    let state = state();
    let journal = Journal::new(state.path());
    for remove in [
        (|journal| std::fs::remove_file(file(journal)).expect("removed")) as fn(&Journal),
        |journal| std::fs::remove_dir_all(&journal.shelf.folder).expect("removed"),
    ] {
        let mut entry = begun(&journal, "a");
        drop(entry.made(accessor("a"), Keep::WithLogin));
        remove(&journal);
        entry.leased(&lease(1)).synced().await.expect("synced");
        let (_folder, after) = killed(&journal);
        let sight = unheld(&after, &file(&after));
        assert!(sight.left[0].accessor().is_some());
        assert_eq!(sight.left[0].leases(), [lease(1)]);
        drop(sight);
        entry.done();
        assert!(journal.names().expect("listed").is_empty());
    }
}

#[test]
fn nothing_is_noted_where_no_sweep_looks() {
    let state = state();
    let journal = Journal::new(state.path());
    begun(&journal, "a").done();
    let elsewhere = state.path().join("journal.old");
    std::fs::rename(&journal.shelf.folder, &elsewhere).expect("moved");
    let entry = begun(&journal, "c");
    assert_eq!(look(&journal, &file(&journal)).live, 1);
    entry.done();
}

/// A block of which the disk has only the first half yet.
#[test]
fn a_blank_beginning_counts_and_not_what_stands_behind_it() {
    let state = state();
    let journal = Journal::new(state.path());
    begun(&journal, "a").done();
    for name in ["attempt-x.json", "attempts-x.journal"] {
        let path = journal.shelf.folder.join(name);
        std::fs::write(&path, [&[0; 512][..], b"rd/1\"}\n", &[0; 64]].concat()).expect("written");
        assert!(look(&journal, &path).is_nothing());
        assert!(!path.exists());
    }
}

/// A file that this process cannot make longer takes a piece of a line: the
/// process is another one, as a limit is the whole process's.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a folder, and no credential")]
async fn a_line_that_did_not_fit_is_taken_back() {
    const FOLDER: &str = "COFFERDAM_TEST_SMALL_FILES";
    if let Some(state) = std::env::var_os(FOLDER) {
        return write_beyond_the_limit(Path::new(&state)).await;
    }
    let state = state();
    // Whoever ignores the signal gets an error instead, as from a full disk.
    let done = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact \"$1\""])
        .arg(std::env::current_exe().expect("this program"))
        .arg("vault::journal::process::tests::damage::a_line_that_did_not_fit_is_taken_back")
        .env(FOLDER, state.path())
        .output()
        .expect("started");
    assert!(done.status.success(), "{done:?}");
    let journal = Journal::new(state.path());
    let path = file(&journal);
    assert!(is_segment(&names(&journal)[0]));
    let text = std::fs::read_to_string(&path).expect("written");
    let text = text.trim_end_matches('\0');
    assert_eq!(text.lines().count(), 4, "{text}");
    let mut sight = unheld(&journal, &path);
    let left = sight.left.pop().expect("it is readable");
    let leases: Vec<_> = left.leases().iter().map(LeaseId::expose).collect();
    assert_eq!(leases, ["a/creds/b/1", "a/creds/b/3"]);
    assert!(left.accessor().is_some());
}

async fn write_beyond_the_limit(state: &Path) {
    let journal = Journal::new(state);
    let mut entry = begun(&journal, "a");
    let made = entry.made(accessor("a"), Keep::OnDisk);
    made.synced().await.expect("synced");
    entry.leased(&lease(1)).synced().await.expect("synced");
    let length = slot(&entry).length.expect("whole");
    let limit = |current| {
        let limit = Rlimit {
            current,
            maximum: None,
        };
        setrlimit(Resource::Fsize, limit).expect("limited");
    };
    limit(Some(length + 10));
    // The control: this is what is taken back.
    let raw = Arc::clone(&slot(&entry).file.file);
    let piece = raw.write_at(&[b' '; 64], length);
    assert_eq!(piece.expect("a piece"), 10);
    raw.write_all_at(&[0; 10], length).expect("as before");

    assert!(entry.leased(&lease(2)).synced().await.is_err());
    let block = std::fs::read(&slot(&entry).file.path).expect("there");
    let behind = block.get(length as usize..).expect("room");
    assert!(behind.iter().all(|&byte| byte == 0), "a piece stays");
    limit(None);
    entry.leased(&lease(3)).synced().await.expect("room again");
    // As a kill does: nobody removes it, and nobody lets it go.
    std::mem::forget((entry, journal));
}

#[tokio::test]
async fn nothing_is_written_behind_a_piece_that_stays() {
    let state = state();
    let journal = Journal::new(state.path());
    let mut entry = begun(&journal, "a");
    let path = file(&journal);
    // A full disk that could not take it back either.
    let held = entry.slot.as_mut().expect("not done");
    let length = held.length.take().expect("whole");
    let raw = Arc::clone(&held.file.file);
    raw.write_all_at(b"{\"lease\":\"a/cr", length)
        .expect("a piece");
    let before = std::fs::read(&path).expect("there");
    assert!(held.write(b"more").is_err());

    // The record goes where it can be read.
    entry.leased(&lease(1)).synced().await.expect("synced");
    assert!(slot(&entry).is_whole());
    let text = std::fs::read_to_string(&slot(&entry).file.path).expect("there");
    assert_eq!(text.trim_end_matches('\0').lines().count(), 2, "{text}");
    // The control: and the block, piece and all, was cleared only then.
    assert!(before.starts_with(b"{\"form\"") && before.ends_with(&[0; 64]));
    let after = std::fs::read(&path).expect("there");
    assert!(after.iter().all(|&byte| byte == 0));
    entry.done();
}

#[test]
fn garbage_is_reported_and_kept() {
    let state = state();
    let journal = Journal::new(state.path());
    begun(&journal, "a").done();
    for (name, block) in [("attempt-x.json", None), ("attempts-x.journal", Some(0))] {
        let path = journal.shelf.folder.join(name);
        std::fs::write(&path, "garbage").expect("written");
        let place = Place {
            path: path.clone(),
            block,
        };
        assert_eq!(look(&journal, &path).unreadable, [place]);
        assert!(path.exists());
    }
    for name in ["link", "attempts-link.journal"] {
        let link = journal.shelf.folder.join(name);
        std::os::unix::fs::symlink("/dev/null", &link).expect("linked");
        assert_eq!(look(&journal, &link).unreadable.len(), 1);
    }
}

//! Records that come, wait, move, stay behind and go.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, PermissionsExt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::super::segment::{BLOCK, MOST_BLOCKS};
use super::super::{Keep, Place, Seen};
use super::*;
use crate::vault::accessor::Accessor;
use crate::vault::lease::LeaseId;

fn state() -> tempfile::TempDir {
    tempfile::TempDir::new().expect("folder")
}

fn intent(id: &str) -> Intent {
    of(AuthorityKind::Attempt, id)
}

fn of(kind: AuthorityKind, id: &str) -> Intent {
    Intent::new(
        kind,
        id.to_owned(),
        None,
        "http://127.0.0.1:1".to_owned(),
        None,
        jiff::Timestamp::UNIX_EPOCH,
        Duration::from_secs(60),
    )
}

fn begun(journal: &Journal, id: &str) -> Entry {
    journal.begin(intent(id)).expect("begun")
}

fn accessor(of: &str) -> Accessor {
    Accessor::try_from(format!("accessor-of-{of}")).expect("fine")
}

fn lease(number: usize) -> LeaseId {
    LeaseId::try_from(format!("a/creds/b/{number}")).expect("fine")
}

/// The only file there is.
fn file(journal: &Journal) -> PathBuf {
    let mut names = journal.names().expect("listed");
    let only = names.pop().expect("a file");
    assert!(names.is_empty(), "{names:?}");
    only
}

fn names(journal: &Journal) -> Vec<String> {
    let names = journal.names().expect("listed");
    let name = |path: PathBuf| {
        path.file_name()
            .expect("one")
            .to_string_lossy()
            .into_owned()
    };
    names.into_iter().map(name).collect()
}

fn is_segment(name: &str) -> bool {
    name.starts_with("attempts-")
}

fn slot(entry: &Entry) -> &Slot {
    entry.slot.as_ref().expect("not done")
}

fn segment(journal: &Journal) -> Arc<Segment> {
    Arc::clone(journal.segment.lock().as_ref().expect("one"))
}

/// What a sweep finds.
#[derive(Default)]
struct Sight {
    live: usize,
    left: Vec<Entry>,
    unreadable: Vec<Place>,
}

impl Sight {
    fn ids(&self) -> Vec<&str> {
        self.left
            .iter()
            .map(|entry| entry.intent().id.as_str())
            .collect()
    }

    fn is_nothing(&self) -> bool {
        self.live == 0 && self.left.is_empty() && self.unreadable.is_empty()
    }
}

fn look(journal: &Journal, path: &Path) -> Sight {
    let mut sight = Sight::default();
    for found in journal.take(path).expect("taken") {
        match found {
            Found::Live(records) => sight.live += records,
            Found::Left(entry) => sight.left.push(*entry),
            Found::Unreadable(place) => sight.unreadable.push(place),
        }
    }
    sight
}

/// What a sweep finds in a file that nobody here holds. A test beside this one may
/// be starting a process, and until that runs its program it has our descriptors
/// too.
fn unheld(journal: &Journal, path: &Path) -> Sight {
    for _ in 0..500 {
        let sight = look(journal, path);
        if sight.live == 0 {
            return sight;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("{} is held", path.display())
}

/// What a sweep finds once all who hold the journal here were killed at this
/// moment: the kernel has their files as they are, and nobody locks them.
fn killed(journal: &Journal) -> (tempfile::TempDir, Journal) {
    let after = state();
    let folder = after.path().join("journal");
    DirBuilder::new().mode(0o700).create(&folder).expect("made");
    for name in names(journal) {
        let from = journal.shelf.folder.join(&name);
        std::fs::copy(from, folder.join(&name)).expect("copied");
    }
    let journal = Journal::new(after.path());
    (after, journal)
}

#[tokio::test]
async fn a_held_record_is_live_a_dropped_one_is_left_and_a_done_one_is_gone() {
    let state = state();
    let journal = Journal::new(state.path());
    let mut entry = begun(&journal, "a");
    let segment = file(&journal);
    assert_eq!(
        std::fs::metadata(&segment)
            .expect("there")
            .permissions()
            .mode()
            & 0o7777,
        0o600
    );
    assert_eq!(look(&journal, &segment).live, 1);

    let made = entry.made(accessor("a"), Keep::OnDisk);
    made.synced().await.expect("synced");
    drop(entry);
    // It has a file of its own, since the segment stays locked.
    let path = journal.names().expect("listed").remove(0);
    assert_eq!(
        std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode()
            & 0o7777,
        0o600
    );
    assert_eq!(journal.left(), 1);
    let mut sight = unheld(&journal, &path);
    let left = sight.left.pop().expect("it is unlocked");
    assert_eq!(left.accessor().expect("made").expose(), "accessor-of-a");

    left.done();
    assert_eq!(journal.left(), 0);
    assert!(look(&journal, &path).is_nothing());
    journal.tidy();
    assert!(journal.names().expect("listed").is_empty());
}

#[tokio::test]
async fn attempts_that_follow_each_other_share_a_block_that_says_nothing_between_them() {
    let state = state();
    let journal = Journal::new(state.path());
    let mut first = begun(&journal, "a");
    let path = file(&journal);
    let made = first.made(accessor("a"), Keep::OnDisk);
    made.synced().await.expect("synced");
    first.leased(&lease(1)).synced().await.expect("synced");
    let text = std::fs::read_to_string(&path).expect("there");
    // The control.
    assert!(text.contains("accessor-of-a") && text.contains("creds/b/1"));
    assert_eq!(text.len(), BLOCK, "one is enough for one attempt");
    first.done();

    let left = std::fs::read(&path).expect("waiting");
    assert!(left.iter().all(|&byte| byte == 0), "{left:?}");
    assert!(look(&journal, &path).is_nothing());
    assert!(path.exists(), "its owner lives");

    let mut second = begun(&journal, "b");
    assert_eq!(file(&journal), path);
    assert_eq!(look(&journal, &path).live, 1);
    assert_eq!(std::fs::metadata(&path).expect("there").len(), BLOCK as u64);
    // Two at once have two.
    let third = begun(&journal, "c");
    assert_eq!(look(&journal, &path).live, 2);
    assert_ne!(slot(&second).place(), slot(&third).place());
    third.done();
    let made = second.made(accessor("b"), Keep::WithLogin);
    made.synced().await.expect("written");
    drop(second);
    let mut sight = unheld(&journal, &journal.names().expect("listed")[0]);
    let left = sight.left.pop().expect("it is unlocked");
    assert_eq!(left.intent().id, "b");
    assert_eq!(left.accessor().expect("made").expose(), "accessor-of-b");
    assert!(left.leases().is_empty());
    left.done();

    // Nobody has a block any more, and none is lost.
    let left = std::fs::read(&path).expect("waiting");
    assert!(left.iter().all(|&byte| byte == 0), "{left:?}");
    let both = [begun(&journal, "d"), begun(&journal, "e")];
    assert_eq!(file(&journal), path);
    assert_eq!(
        std::fs::metadata(&path).expect("there").len(),
        left.len() as u64
    );
    both.into_iter().for_each(Entry::done);
    journal.tidy();
    assert!(journal.names().expect("listed").is_empty());
}

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
async fn what_a_killed_process_left_is_found_block_by_block() {
    let state = state();
    let journal = Journal::new(state.path());
    let mut entries = ["a", "b", "c"].map(|id| begun(&journal, id));
    for (entry, id) in entries.iter_mut().zip(["a", "b", "c"]) {
        let made = entry.made(accessor(id), Keep::WithLogin);
        made.synced().await.expect("written");
    }
    let [a, b, c] = entries;
    b.done();
    let (_folder, after) = killed(&journal);
    let path = file(&after);
    let sight = unheld(&after, &path);
    assert_eq!(sight.ids(), ["a", "c"]);
    // Somebody who looks at the same time leaves them alone.
    let other = Journal::new(path.parent().expect("it").parent().expect("above"));
    assert_eq!(look(&other, &path).live, 2);
    // The one is settled, and the other let go.
    let mut left = sight.left.into_iter();
    left.next().expect("a").done();
    drop(left);
    assert_eq!(after.left(), 1);
    let sight = unheld(&other, &path);
    assert_eq!(sight.ids(), ["c"]);
    assert_eq!(names(&after).len(), 1, "nothing moved");
    sight.left.into_iter().for_each(Entry::done);
    assert!(!path.exists());
    assert!(after.names().expect("listed").is_empty());
    assert_eq!(after.left(), 0);
    [a, c].into_iter().for_each(Entry::done);
}

/// Another process cleared one of two that a sweep of ours could not.
#[tokio::test]
async fn what_another_sweep_settled_does_not_count_any_more() {
    let state = state();
    let journal = Journal::new(state.path());
    let entries = ["a", "b"].map(|id| begun(&journal, id));
    let (folder, ours) = killed(&journal);
    let path = file(&ours);
    drop(unheld(&ours, &path));
    assert_eq!(ours.left(), 2);
    let theirs = Journal::new(folder.path());
    let mut sight = unheld(&theirs, &path);
    sight.left.pop().expect("b").done();
    drop(sight);
    let sight = unheld(&ours, &path);
    assert_eq!(ours.left(), 1);
    sight.left.into_iter().for_each(Entry::done);
    assert_eq!(ours.left(), 0);
    entries.into_iter().for_each(Entry::done);
}

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

/// Fills a block until its record has a file of its own; how many leases that took.
async fn overflow(entry: &mut Entry) -> usize {
    for number in 1..BLOCK {
        let written = entry.leased(&lease(number));
        let is_whole = slot(entry).is_whole();
        assert_eq!(slot(entry).file.is_replacing(), is_whole);
        if is_whole {
            drop(written);
            return number;
        }
        written.synced().await.expect("synced");
    }
    unreachable!("a block has room for fewer")
}

#[tokio::test]
async fn a_record_that_outgrows_its_block_moves_once_the_disk_has_it() {
    let state = state();
    let journal = Journal::new(state.path());
    let mut entry = begun(&journal, "a");
    let made = entry.made(accessor("a"), Keep::WithLogin);
    made.synced().await.expect("written");
    let path = file(&journal);
    let many = overflow(&mut entry).await;
    assert!(many > 12, "{many}");
    let all: Vec<_> = (1..=many).map(lease).collect();

    // Killed before the disk has the new file: both are there, and count once.
    let (_folder, after) = killed(&journal);
    let mut seen = Seen::default();
    let mut found = Vec::new();
    for name in after.names().expect("listed") {
        for left in unheld(&after, &name).left {
            found.push((left.leases().len(), seen.earlier(&left)));
            seen.note(&left, found.len() - 1);
        }
    }
    assert_eq!(found, [(many, None), (many - 1, Some(0))]);

    // The next who waits for it sees to that.
    assert_eq!(look(&journal, &path).live, 1);
    let one_more = entry.leased(&lease(many + 1));
    one_more.synced().await.expect("synced");
    assert!(look(&journal, &path).is_nothing());
    let own = slot(&entry).file.path.clone();
    assert_eq!(look(&journal, &own).live, 1);
    let next = begun(&journal, "b");
    assert_eq!(slot(&next).place().path, path, "its block is used again");
    next.done();

    let (_folder, after) = killed(&journal);
    let names = after.names().expect("listed");
    let sight = unheld(&after, &names[0]);
    assert_eq!(sight.ids(), ["a"]);
    assert!(sight.left[0].accessor().is_some());
    assert_eq!(sight.left[0].leases()[..many], all);
    assert_eq!(sight.left[0].leases().len(), many + 1);
    assert!(unheld(&after, &names[1]).is_nothing());
    drop(sight);

    entry.done();
    assert!(!own.exists());
    assert_eq!(file(&journal), path);
}

#[tokio::test]
async fn a_record_that_ends_while_it_moves_is_gone_from_both_places() {
    let state = state();
    let journal = Journal::new(state.path());
    let mut entry = begun(&journal, "a");
    overflow(&mut entry).await;
    assert_eq!(names(&journal).len(), 2);
    entry.done();
    assert!(look(&journal, &file(&journal)).is_nothing());

    // And one that is let go has the one that says more.
    let mut entry = begun(&journal, "b");
    let many = overflow(&mut entry).await;
    drop(entry);
    assert_eq!(journal.left(), 1);
    journal.tidy();
    let path = file(&journal);
    let sight = unheld(&journal, &path);
    assert_eq!(sight.ids(), ["b"]);
    assert_eq!(sight.left[0].leases().len(), many);
}

/// Two that differ in anything are two.
#[test]
fn only_what_is_named_already_counts_as_seen() {
    let state = state();
    let journal = Journal::new(state.path());
    let entry = |id: &str, of: &str, leases: &[usize]| {
        let mut entry = begun(&journal, id);
        drop(entry.made(accessor(of), Keep::WithLogin));
        for &number in leases {
            drop(entry.leased(&lease(number)));
        }
        entry
    };
    let mut seen = Seen::default();
    seen.note(&entry("a", "x", &[1, 2]), 7);
    for (leases, number) in [
        (&[1, 2][..], Some(7)),
        (&[2], Some(7)),
        (&[], Some(7)),
        (&[3], None),
    ] {
        assert_eq!(seen.earlier(&entry("a", "x", leases)), number, "{leases:?}");
    }
    assert_eq!(seen.earlier(&entry("b", "x", &[])), None);
    assert_eq!(seen.earlier(&entry("a", "y", &[])), None);
    // It moved when its accessor came, and the reverse is none of ours.
    assert_eq!(seen.earlier(&begun(&journal, "a")), Some(7));
    seen.note(&begun(&journal, "c"), 8);
    assert_eq!(seen.earlier(&entry("c", "x", &[])), None);
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

/// A block that the disk does not give.
#[test]
fn what_cannot_be_read_of_a_segment_takes_nothing_from_the_others() {
    let state = state();
    let file = std::fs::File::open(state.path()).expect("a folder, which nobody can read");
    let blocks = find::blocks(&file);
    assert_eq!(blocks.len(), MOST_BLOCKS as usize + 1);
    assert!(blocks.iter().all(|(_, text)| text == b"?"));
}

/// A real failure: of a file that has no disk.
#[tokio::test]
async fn a_failed_sync_is_told_to_all_who_wait() {
    let state = state();
    let journal = Journal::new(state.path());
    let (read, _write) = std::io::pipe().expect("a pipe");
    let pipe = std::fs::File::from(std::os::fd::OwnedFd::from(read));
    let path = journal.shelf.folder.join("attempts-x.journal");
    let file = super::super::file::LockedFile::of(pipe, path);
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
fn a_segment_that_is_full_sends_the_others_to_files_of_their_own() {
    let state = state();
    let journal = Journal::new(state.path());
    let all: Vec<_> = (0..MOST_BLOCKS + 2)
        .map(|number| begun(&journal, &format!("r{number}")))
        .collect();
    let (segments, own): (Vec<_>, Vec<_>) = names(&journal)
        .into_iter()
        .partition(|name| is_segment(name));
    assert_eq!((segments.len(), own.len()), (1, 2));
    let path = segment(&journal).file.path.clone();
    let length = std::fs::metadata(&path).expect("there").len();
    assert_eq!(length, u64::from(MOST_BLOCKS) * BLOCK as u64);
    assert_eq!(look(&journal, &path).live, MOST_BLOCKS as usize);
    let (_folder, after) = killed(&journal);
    let found: Vec<_> = (after.names().expect("listed").iter())
        .map(|path| unheld(&after, path))
        .collect();
    let ids: std::collections::HashSet<_> = found.iter().flat_map(Sight::ids).collect();
    assert_eq!(ids.len(), all.len());
    all.into_iter().for_each(Entry::done);
    assert_eq!(file(&journal), path);
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
fn an_intent_that_is_long_has_a_file_of_its_own() {
    let state = state();
    let journal = Journal::new(state.path());
    let mut long = intent("a");
    long.server = format!("http://{}", "x".repeat(BLOCK));
    let entry = journal.begin(long).expect("begun");
    assert!(slot(&entry).is_whole());
    entry.done();
}

/// The process's own sweep finds it, and so does any other.
#[tokio::test]
async fn what_is_dropped_has_a_file_of_its_own_before_its_block_is_cleared() {
    let state = state();
    let journal = Journal::new(state.path());
    let neighbour = begun(&journal, "neighbour");
    let segment = file(&journal);
    let mut entry = begun(&journal, "a");
    entry.leased(&lease(1)).synced().await.expect("synced");
    drop(entry);
    // Nothing was waited for yet: this is the moment of a kill in between.
    let paths = journal.names().expect("listed");
    assert_eq!(paths.len(), 2);
    assert_eq!(
        look(&journal, &segment).live,
        2,
        "the disk has no other yet"
    );
    let mut sight = unheld(&journal, &paths[0]);
    assert_eq!(sight.left[0].leases(), [lease(1)]);
    assert_eq!(journal.left(), 1);
    sight.left.pop().expect("it").done();
    assert_eq!(journal.left(), 0);
    // Whoever ends the process waits for the rest.
    journal.shelf.end_all_moves();
    assert_eq!(look(&journal, &segment).live, 1);
    assert_eq!(file(&journal), segment);
    neighbour.done();
}

/// No room for a file at the moment of the drop.
#[tokio::test]
async fn what_has_no_file_of_its_own_yet_gets_one_at_the_next_sweep() {
    let state = state();
    let journal = Journal::new(state.path());
    let mut entry = begun(&journal, "a");
    drop(entry.made(accessor("a"), Keep::WithLogin));
    let segment = file(&journal);
    let folder = journal.shelf.folder.clone();
    let elsewhere = state.path().join("elsewhere");
    std::fs::rename(&folder, &elsewhere).expect("moved");
    std::fs::write(&folder, "in its place").expect("written");
    drop(entry);
    assert_eq!(journal.left(), 1);
    std::fs::remove_file(&folder).expect("removed");
    std::fs::rename(&elsewhere, &folder).expect("back");

    assert_eq!(look(&journal, &segment).live, 1, "it is still there");
    let paths = journal.names().expect("listed");
    let mut sight = unheld(&journal, &paths[0]);
    assert_eq!((sight.ids(), journal.left()), (vec!["a"], 1));
    sight.left.pop().expect("it").done();
    assert!(look(&journal, &segment).is_nothing());
    assert_eq!(journal.left(), 0);
}

#[test]
fn what_waits_goes_with_its_process_and_after_a_kill_with_the_sweep() {
    let state = state();
    let journal = Journal::new(state.path());
    let [one, other] = ["a", "b"].map(|id| begun(&journal, id));
    one.done();
    other.done();
    let (_folder, after) = killed(&journal);
    let path = file(&after);
    assert!(unheld(&after, &path).is_nothing());
    assert!(after.names().expect("listed").is_empty());

    begun(&journal, "c").done();
    assert_eq!(journal.names().expect("listed").len(), 1);
    let folder = journal.shelf.folder.clone();
    drop(journal);
    assert_eq!(std::fs::read_dir(folder).expect("there").count(), 0);
}

#[test]
fn the_segment_stays_for_whoever_outlives_the_journal() {
    let state = state();
    let journal = Journal::new(state.path());
    let [one, other] = ["a", "b"].map(|id| begun(&journal, id));
    one.done();
    let path = file(&journal);
    drop(journal);
    assert!(path.exists());
    other.done();
    assert!(!path.exists());
}

#[test]
fn two_processes_have_a_segment_each_and_leave_each_other_alone() {
    let state = state();
    let [ours, theirs] = [(); 2].map(|()| Journal::new(state.path()));
    let (mine, his) = (begun(&ours, "mine"), begun(&theirs, "his"));
    let paths = ours.names().expect("listed");
    assert_eq!(paths.len(), 2);
    for path in &paths {
        assert_eq!((look(&ours, path).live, look(&theirs, path).live), (1, 1));
    }
    mine.done();
    ours.tidy();
    assert_eq!(file(&theirs), slot(&his).file.path);
    his.done();
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
        .arg("vault::journal::folder::tests::a_line_that_did_not_fit_is_taken_back")
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
fn refuses_folders_that_others_can_touch() {
    for (mode, below) in [(0o755, true), (0o770, true), (0o777, false)] {
        let state = state();
        let journal = state.path().join("journal");
        DirBuilder::new()
            .mode(0o700)
            .create(&journal)
            .expect("made");
        let path = if below { &journal } else { state.path() };
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("set");
        assert!(
            matches!(
                Journal::new(state.path()).begin(intent("a")),
                Err(JournalError::UnsafeFolder { .. })
            ),
            "{mode:o}"
        );
    }
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

#[test]
fn creating_and_sweeping_at_once_loses_nothing() {
    let state = state();
    let journal = Journal::new(state.path());
    journal.begin(intent("first")).expect("begun").done();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for name in journal.names().expect("listed") {
                    assert!(
                        look(&journal, &name).left.is_empty(),
                        "a sweep took a file of a living owner"
                    );
                }
            }
        });
        // Log-ins get a new file each time.
        for kind in [AuthorityKind::Login, AuthorityKind::Attempt] {
            for round in 0..2000 {
                let id = format!("r{round}");
                let entry = journal.begin(of(kind, &id)).expect("begun");
                let path = &slot(&entry).file.path;
                assert!(path.exists(), "the owner's file lost its name");
                entry.done();
                // A new segment each time, too.
                if round % 2 == 0 {
                    journal.tidy();
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
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

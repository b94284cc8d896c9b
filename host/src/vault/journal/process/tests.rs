//! Records that come, wait, move, stay behind and go.

mod damage;
mod moves;
mod syncs;

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

/// Says so when it is dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
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
        // Whatever becomes of what follows, or the other thread would never end.
        let _stop = Stop(&stop);
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
    });
}

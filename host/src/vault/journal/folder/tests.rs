//! Files that come, wait, stay behind and go.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::super::{AuthorityKind, Keep};
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

/// The only file there is.
fn file(journal: &Journal) -> PathBuf {
    let mut names = journal.names().expect("listed");
    let only = names.pop().expect("a file");
    assert!(names.is_empty(), "{names:?}");
    only
}

/// Takes a file that nobody here holds. A test beside this one may be starting
/// a process, and until that runs its program it has our descriptors too.
fn taken(journal: &Journal, path: &Path) -> Found {
    for _ in 0..500 {
        match journal.take(path).expect("taken") {
            Found::Live => std::thread::sleep(Duration::from_millis(2)),
            found => return found,
        }
    }
    Found::Live
}

#[test]
fn a_held_file_is_live_a_dropped_one_is_left_and_a_done_one_is_gone() {
    let state = state();
    let journal = Journal::new(state.path());
    let mut entry = journal.begin(intent("a")).expect("begun");
    let path = entry.slot.path.clone();
    assert_eq!(
        std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode()
            & 0o7777,
        0o600
    );
    assert!(matches!(journal.take(&path), Ok(Found::Live)));

    let accessor = Accessor::try_from("accessor-of-a".to_owned()).expect("fine");
    entry.made(accessor, Keep::OnDisk).expect("synced");
    drop(entry);
    let Found::Left(left) = taken(&journal, &path) else {
        panic!("it is unlocked")
    };
    assert_eq!(left.accessor().expect("made").expose(), "accessor-of-a");

    left.done();
    assert!(matches!(journal.take(&path), Ok(Found::Nothing)));
    assert!(journal.names().expect("listed").is_empty());
}

#[test]
fn attempts_that_follow_each_other_share_a_file_that_says_nothing_between_them() {
    let state = state();
    let journal = Journal::new(state.path());
    let accessor = |name: &str| Accessor::try_from(name.to_owned()).expect("fine");
    let lease = LeaseId::try_from("a/creds/b/1".to_owned()).expect("fine");
    let mut first = journal.begin(intent("a")).expect("begun");
    let path = file(&journal);
    first
        .made(accessor("accessor-of-a"), Keep::OnDisk)
        .expect("synced");
    first.leased(&lease).expect("synced");
    let text = std::fs::read_to_string(&path).expect("there");
    // The control.
    assert!(text.contains("accessor-of-a") && text.contains("creds/b/1"));
    first.done();

    let left = std::fs::read(&path).expect("waiting");
    assert!(left.iter().all(|&byte| byte == 0), "{left:?}");
    assert!(matches!(journal.take(&path), Ok(Found::Nothing)));
    assert!(path.exists(), "its owner lives");

    let mut second = journal.begin(intent("b")).expect("begun");
    assert_eq!(file(&journal), path);
    assert!(matches!(journal.take(&path), Ok(Found::Live)));
    // Two at once have two.
    let third = journal.begin(intent("c")).expect("begun");
    assert_eq!(journal.names().expect("listed").len(), 2);
    third.done();
    second
        .made(accessor("accessor-of-b"), Keep::WithLogin)
        .expect("written");
    drop(second);
    let Found::Left(left) = taken(&journal, &path) else {
        panic!("it is unlocked")
    };
    assert_eq!(left.intent().id, "b");
    assert_eq!(left.accessor().expect("made").expose(), "accessor-of-b");
    assert!(left.leases().is_empty());
    left.done();

    journal.tidy();
    assert!(journal.names().expect("listed").is_empty());
}

#[test]
fn what_waits_goes_with_its_process_and_after_a_kill_with_the_sweep() {
    let state = state();
    let journal = Journal::new(state.path());
    let begun = ["a", "b"].map(|id| journal.begin(intent(id)).expect("begun"));
    let [one, other] = begun;
    one.done();
    other.done();
    // As a kill does: nobody removes them, and nobody holds them.
    journal.spares.let_go();
    assert_eq!(journal.names().expect("listed").len(), 2);
    for name in journal.names().expect("listed") {
        assert!(matches!(taken(&journal, &name), Found::Nothing));
    }
    assert!(journal.names().expect("listed").is_empty());

    journal.begin(intent("c")).expect("begun").done();
    assert_eq!(journal.names().expect("listed").len(), 1);
    let folder = journal.folder.clone();
    drop(journal);
    assert_eq!(std::fs::read_dir(folder).expect("there").count(), 0);
}

#[test]
fn a_folder_that_was_tidied_by_hand_costs_nothing() {
    let state = state();
    let journal = Journal::new(state.path());
    journal.begin(intent("a")).expect("begun").done();
    std::fs::remove_file(file(&journal)).expect("removed");
    let entry = journal.begin(intent("b")).expect("begun");
    assert!(matches!(journal.take(&file(&journal)), Ok(Found::Live)));
    entry.done();
}

#[test]
fn nothing_is_noted_where_no_sweep_looks() {
    let state = state();
    let journal = Journal::new(state.path());
    journal.begin(intent("a")).expect("begun").done();
    let elsewhere = state.path().join("journal.old");
    std::fs::rename(&journal.folder, &elsewhere).expect("moved");
    let entry = journal.begin(intent("c")).expect("begun");
    assert!(matches!(journal.take(&file(&journal)), Ok(Found::Live)));
    entry.done();
}

/// A block of which the disk has only the first half yet.
#[test]
fn a_blank_beginning_counts_and_not_what_stands_behind_it() {
    let state = state();
    let journal = Journal::new(state.path());
    journal.begin(intent("a")).expect("begun").done();
    let path = journal.folder.join("attempt-x.json");
    std::fs::write(&path, [&[0; 512][..], b"rd/1\"}\n", &[0; 64]].concat()).expect("written");
    assert!(matches!(journal.take(&path), Ok(Found::Nothing)));
    assert!(!path.exists());
}

/// A file that this process cannot make longer takes a piece of a line: the
/// process is another one, as a limit is the whole process's.
#[test]
#[allow(clippy::disallowed_methods, reason = "a folder, and no credential")]
fn a_line_that_did_not_fit_is_taken_back() {
    const FOLDER: &str = "COFFERDAM_TEST_SMALL_FILES";
    if let Some(state) = std::env::var_os(FOLDER) {
        return write_beyond_the_limit(Path::new(&state));
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
    let text = std::fs::read_to_string(&path).expect("written");
    assert_eq!(text.lines().count(), 4, "{text}");
    let Found::Left(left) = taken(&journal, &path) else {
        panic!("it is readable")
    };
    let leases: Vec<_> = left.leases().iter().map(LeaseId::expose).collect();
    assert_eq!(leases, ["a/creds/b/1", "a/creds/b/3"]);
    assert!(left.accessor().is_some());
}

fn write_beyond_the_limit(state: &Path) {
    let lease = |id: &str| LeaseId::try_from(format!("a/creds/b/{id}")).expect("fine");
    let mut entry = Journal::new(state).begin(intent("a")).expect("begun");
    let accessor = Accessor::try_from("accessor-of-a".to_owned()).expect("fine");
    entry.made(accessor, Keep::OnDisk).expect("synced");
    entry.leased(&lease("1")).expect("synced");
    let length = entry.slot.length.expect("whole");
    let limit = |current| {
        let limit = Rlimit {
            current,
            maximum: None,
        };
        setrlimit(Resource::Fsize, limit).expect("limited");
    };
    limit(Some(length + 10));
    // The control: this is what is taken back.
    let piece = entry.slot.file.write_at(&[b' '; 64], length);
    assert_eq!(piece.expect("a piece"), 10);
    entry.slot.file.set_len(length).expect("as before");

    assert!(entry.leased(&lease("2")).is_err());
    limit(None);
    entry.leased(&lease("3")).expect("room again");
}

#[test]
fn nothing_is_written_behind_a_piece_that_stays() {
    let state = state();
    let mut entry = Journal::new(state.path())
        .begin(intent("a"))
        .expect("begun");
    let lease = LeaseId::try_from("a/creds/b/1".to_owned()).expect("fine");
    // A full disk that cannot be cut back either.
    let full = OpenOptions::new().write(true).open("/dev/full");
    let good = std::mem::replace(&mut entry.slot.file, full.expect("on Linux"));
    assert!(entry.leased(&lease).is_err());
    entry.slot.file = good;
    assert!(entry.leased(&lease).is_err());
    let text = std::fs::read_to_string(&entry.slot.path).expect("there");
    let text = text.trim_end_matches('\0');
    assert_eq!(text.lines().count(), 1, "{text}");
    // Nor is it kept for another attempt.
    let path = entry.slot.path.clone();
    entry.done();
    assert!(!path.exists());
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
    journal.begin(intent("a")).expect("begun").done();
    let path = journal.folder.join("attempt-x.json");
    std::fs::write(&path, "garbage").expect("written");
    assert!(matches!(journal.take(&path), Ok(Found::Unreadable(_))));
    assert!(path.exists());
    std::os::unix::fs::symlink("/dev/null", journal.folder.join("link")).expect("linked");
    assert!(matches!(
        journal.take(&journal.folder.join("link")),
        Ok(Found::Unreadable(_))
    ));
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
                        !matches!(journal.take(&name), Ok(Found::Left(_))),
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
                assert!(entry.slot.path.exists(), "the owner's file lost its name");
                entry.done();
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

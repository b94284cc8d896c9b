//! Records that get a file of their own.

use super::*;

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

/// A record that is left while there is no room for a file of its own; the segment.
fn stranded(state: &Path, journal: &Journal) -> PathBuf {
    let mut entry = begun(journal, "a");
    drop(entry.made(accessor("a"), Keep::WithLogin));
    let segment = file(journal);
    let folder = journal.shelf.folder.clone();
    let elsewhere = state.join("elsewhere");
    std::fs::rename(&folder, &elsewhere).expect("moved");
    std::fs::write(&folder, "in its place").expect("written");
    drop(entry);
    assert_eq!(journal.left(), 1);
    std::fs::remove_file(&folder).expect("removed");
    std::fs::rename(&elsewhere, &folder).expect("back");
    assert_eq!(look(journal, &segment).live, 1, "it is still there");
    segment
}

#[test]
fn what_has_no_file_of_its_own_yet_gets_one_with_the_next_attempt() {
    let state = state();
    let journal = Journal::new(state.path());
    let segment = stranded(state.path(), &journal);
    let next = begun(&journal, "b");
    assert_eq!(
        look(&journal, &segment).live,
        1,
        "the next one, and no other"
    );
    let own = names(&journal);
    let own = own.iter().find(|name| !is_segment(name)).expect("its file");
    let mut sight = unheld(&journal, &journal.shelf.folder.join(own));
    assert_eq!((sight.ids(), journal.left()), (vec!["a"], 1));
    sight.left.pop().expect("it").done();
    next.done();
    assert_eq!(journal.left(), 0);
}

/// A line that the disk did not take, of a record with a file of its own.
#[test]
fn what_is_left_without_its_last_line_is_made_anew_with_it() {
    let state = state();
    let journal = Journal::new(state.path());
    let mut entry = journal.begin(of(AuthorityKind::Login, "a")).expect("begun");
    let short = file(&journal);
    // As `made` does before it writes.
    entry.record.accessor = Some(accessor("a"));
    drop(entry);
    let own = file(&journal);
    assert_ne!(own, short);
    let mut sight = unheld(&journal, &own);
    let found = sight.left.pop().expect("it");
    assert_eq!(
        found.accessor().expect("told").expose(),
        accessor("a").expose()
    );
    found.done();
    assert_eq!(journal.left(), 0);
}

/// No room for a file at the moment of the drop.
#[tokio::test]
async fn what_has_no_file_of_its_own_yet_gets_one_at_the_next_sweep() {
    let state = state();
    let journal = Journal::new(state.path());
    let segment = stranded(state.path(), &journal);
    let paths = journal.names().expect("listed");
    let mut sight = unheld(&journal, &paths[0]);
    assert_eq!((sight.ids(), journal.left()), (vec!["a"], 1));
    sight.left.pop().expect("it").done();
    assert!(look(&journal, &segment).is_nothing());
    assert_eq!(journal.left(), 0);
}

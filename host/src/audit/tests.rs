//! A real chain, and everything that can be done to it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::verify::verify_lines;
use super::*;
use crate::digest::Digest;

fn intent(target: &str) -> Event<'_> {
    Event::Intent {
        grant: "http.billing",
        operation: "send",
        target,
        decision: Decision::Allowed,
        reason: None,
        statement: None,
    }
}

fn seal(recorder: &Recorder) -> Result<SealedAudit, AuditError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(recorder.seal())
}

/// A chain of `1 + count` lines, and its head.
fn chain(count: usize) -> (Vec<Vec<u8>>, Digest) {
    let folder = tempfile::tempdir().unwrap();
    let log = AuditLog::create(folder.path()).unwrap();
    let recorder = log.recorder("run-1");
    for i in 0..count {
        let place = recorder
            .record(&intent(&format!("GET https://host/{i}")))
            .unwrap();
        assert_eq!(place.sequence(), i as u64 + 2);
        assert_eq!(place.to_string(), format!("run-1#{}", i + 2));
    }
    let sealed = seal(&recorder).unwrap();
    assert!(sealed.synced);
    let bytes = std::fs::read(log.path()).unwrap();
    let lines = bytes
        .split_inclusive(|b| *b == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    (lines, sealed.head)
}

#[test]
fn a_chain_names_its_machine_and_its_process() {
    let (lines, _) = chain(0);
    let first: serde_json::Value = serde_json::from_slice(&lines[0]).unwrap();
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(first["hostname"], machine.trim());
    assert_eq!(first["pid"], std::process::id());
}

fn ended() -> Event<'static> {
    Event::RunEnded {
        outcome: "done",
        limits: &[],
        exit: 0,
        cancelled_by: None,
    }
}

#[test]
fn a_last_fact_is_written_before_it_is_synced_and_with_whatever_comes_next() {
    let folder = tempfile::tempdir().unwrap();
    let log = AuditLog::create(folder.path()).unwrap();
    let lines = || std::fs::read_to_string(log.path()).unwrap().lines().count();
    let recorder = log.recorder("run-1");
    let last = recorder.last(&ended()).unwrap();
    assert_eq!(lines(), 1, "it may wait");
    log.sync_here().unwrap();
    assert_eq!(lines(), 2);
    let bytes = std::fs::read(log.path()).unwrap();
    let report = check(&bytes, Some(&last.sealed().head));
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    recorder.last(&ended()).unwrap();
    recorder.record(&intent("GET /")).unwrap();
    assert_eq!(lines(), 4);
    recorder.last(&ended()).unwrap();
    // A chain that follows names a line that is there.
    let next = log.followed(folder.path()).unwrap();
    assert_eq!(lines(), 5);
    let previous = chain_start(next.path()).unwrap().unwrap().previous.unwrap();
    assert_eq!(previous.seq, 5);
    recorder.last(&ended()).unwrap();
    let path = log.path().to_owned();
    drop((recorder, last, log));
    let left = std::fs::read_to_string(path).unwrap();
    assert_eq!(left.lines().count(), 6, "none is lost with its chain");
}

#[test]
fn what_could_not_be_written_is_no_part_of_the_chain() {
    let log = AuditLog::on_full_disk();
    let folder = tempfile::tempdir().unwrap();
    log.recorder("run-1").last(&ended()).unwrap();
    assert!(log.sync_here().is_err());
    assert!(log.recorder("run-1").last(&ended()).is_err());
    let next = log.followed(folder.path()).unwrap();
    let previous = chain_start(next.path()).unwrap().unwrap().previous.unwrap();
    assert_eq!(previous.seq, 0);
}

fn check(bytes: &[u8], head: Option<&Digest>) -> ChainReport {
    verify_lines(bytes, head, &[]).unwrap()
}

fn kinds(lines: &[Vec<u8>]) -> Vec<(u64, FindingKind)> {
    check(&lines.concat(), None)
        .findings
        .iter()
        .map(|f| (f.line, f.kind))
        .collect()
}

/// The same line with a hash that fits its bytes.
fn rehash(line: &[u8]) -> Vec<u8> {
    let body = &line[..line.len() - br#","hash":""}"#.len() - 64 - 1];
    let mut out = body.to_vec();
    out.extend(format!(",\"hash\":\"{}\"}}\n", Digest::of(body).to_hex()).into_bytes());
    out
}

fn replace(line: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = std::str::from_utf8(line).unwrap();
    assert!(text.contains(from), "{text}");
    text.replacen(from, to, 1).into_bytes()
}

#[test]
fn a_chain_is_consistent_and_anchored_by_its_head() {
    let (lines, head) = chain(5);
    assert_eq!(lines.len(), 6);
    assert!(lines[0].starts_with(br#"{"v":1,"seq":1,"time":""#));
    assert_eq!(
        rehash(&lines[3]),
        lines[3],
        "the hash is what docs/AUDIT.md says"
    );
    let whole = lines.concat();
    let report = check(&whole, Some(&head));
    assert!(report.is_consistent(), "{:?}", report.findings);
    assert_eq!(report.anchor, Some(Anchor { line: 6, seq: 6 }));
    assert_eq!(report.head, Some(head));
    let unanchored = check(&whole, None);
    assert!(unanchored.is_consistent());
    assert_eq!(unanchored.anchor, None);
}

#[test]
fn a_head_further_up_anchors_the_lines_before_it() {
    let (lines, _) = chain(5);
    let early = check(&lines[..4].concat(), None).head.unwrap();
    let report = check(&lines.concat(), Some(&early));
    assert_eq!(report.anchor, Some(Anchor { line: 4, seq: 4 }));
    assert!(report.is_consistent());
}

#[test]
fn a_cut_end_is_found_with_the_head_only() {
    let (lines, head) = chain(5);
    let cut = lines[..5].concat();
    assert!(check(&cut, None).is_consistent());
    let mut report = check(&cut, Some(&head));
    assert_eq!(report.anchor, None);
    report.head_not_found();
    assert_eq!(report.findings[0].kind, FindingKind::HeadNotFound);
}

#[test]
fn a_chain_that_is_followed_must_have_the_line_that_the_next_one_names() {
    let folder = tempfile::tempdir().unwrap();
    let first = AuditLog::create(folder.path()).unwrap();
    let recorder = first.recorder("run-1");
    for target in ["a", "b"] {
        recorder.record(&intent(target)).unwrap();
    }
    let second = first.followed(folder.path()).unwrap();
    assert_ne!(first.path(), second.path());
    // A run that was under way goes on in its own chain.
    recorder.record(&intent("c")).unwrap();
    assert_eq!(
        second
            .recorder("run-2")
            .record(&intent("d"))
            .unwrap()
            .sequence(),
        2
    );

    let [start, next] = [&first, &second].map(|log| chain_start(log.path()).unwrap().unwrap());
    assert_eq!(start.previous, None);
    let link = next.previous.unwrap();
    assert_eq!((link.chain.as_str(), link.seq), (start.chain.as_str(), 3));
    let text = std::fs::read_to_string(first.path()).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let kinds = |text: &str| {
        let report = verify_lines(text.as_bytes(), None, &[&link]).unwrap();
        report
            .findings
            .iter()
            .map(|one| one.kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(&text), []);
    assert_eq!(
        kinds(&lines[..3].concat()),
        [],
        "up to the line that is named"
    );
    assert_eq!(kinds(&lines[..2].concat()), [FindingKind::Unlinked]);
    // Rewritten as a whole, so that the chain itself is consistent.
    let other = folder.path().join("other");
    let other = AuditLog::create(&other).unwrap();
    for target in ["a", "x", "c"] {
        other.recorder("run-1").record(&intent(target)).unwrap();
    }
    let rewritten = std::fs::read_to_string(other.path()).unwrap();
    assert!(check(rewritten.as_bytes(), None).is_consistent());
    assert_eq!(kinds(&rewritten), [FindingKind::Unlinked]);
}

#[test]
fn missing_lines_are_named() {
    let (lines, _) = chain(6);
    for gone in 0..lines.len() - 1 {
        let mut left = lines.clone();
        left.remove(gone);
        let report = check(&left.concat(), None);
        assert_eq!(report.findings_total, 1, "{:?}", report.findings);
        assert_eq!(report.findings[0].kind, FindingKind::Missing);
        assert_eq!(report.findings[0].line, gone as u64 + 1);
        assert!(
            report.findings[0]
                .message
                .contains(&format!("seq {} is missing", gone + 1))
        );
    }
    assert_eq!(kinds(&[]), [(0, FindingKind::Missing)]);
}

#[test]
fn moved_and_repeated_lines_are_named() {
    let (lines, _) = chain(6);
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    assert_eq!(kinds(&swapped), [(4, FindingKind::Reordered)]);
    let mut repeated = lines.clone();
    repeated.insert(4, lines[3].clone());
    assert_eq!(kinds(&repeated), [(5, FindingKind::Inserted)]);
    let mut reversed = lines.clone();
    reversed.reverse();
    assert_eq!(kinds(&reversed).len(), 6);
}

#[test]
fn a_change_is_found_even_with_its_own_hash_recomputed() {
    let (mut lines, head) = chain(4);
    lines[2] = replace(&lines[2], "https://host/1", "https://host/9");
    assert_eq!(kinds(&lines), [(3, FindingKind::Changed)]);
    lines[2] = rehash(&lines[2]);
    assert_eq!(kinds(&lines), [(4, FindingKind::Broken)]);
    // The last line's change shows in the head only.
    let (mut lines, _) = (chain(4).0, head);
    let last = lines.len() - 1;
    lines[last] = rehash(&replace(&lines[last], "https://host/3", "https://host/9"));
    assert_eq!(kinds(&lines), []);
    assert_eq!(check(&lines.concat(), Some(&head)).anchor, None);
}

#[test]
fn an_inserted_line_with_a_fitting_hash_is_found() {
    let (mut lines, _) = chain(4);
    let forged = rehash(&replace(&lines[3], "https://host/2", "https://evil/"));
    lines.insert(3, forged);
    assert!(kinds(&lines).contains(&(5, FindingKind::Inserted)));
}

#[test]
fn a_torn_last_line_is_named_and_spares_the_rest() {
    let (lines, _) = chain(4);
    let whole = lines.concat();
    let start = whole.len() - lines[4].len();
    for end in start + 1..whole.len() {
        let report = check(&whole[..end], None);
        assert_eq!(report.findings_total, 1);
        assert_eq!(
            (report.findings[0].line, report.findings[0].kind),
            (5, FindingKind::Torn)
        );
    }
}

#[test]
fn every_flipped_byte_is_found() {
    let (lines, head) = chain(3);
    let whole = lines.concat();
    for at in 0..whole.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut changed = whole.clone();
            changed[at] ^= bit;
            let report = check(&changed, Some(&head));
            assert!(!report.is_consistent(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn recorders_beside_each_other_keep_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let log = AuditLog::create_with(folder.path(), AuditOptions { sync: false }).unwrap();
    std::thread::scope(|scope| {
        for run in 0..8 {
            let recorder = log.recorder(&format!("run-{run}"));
            scope.spawn(move || {
                for _ in 0..200 {
                    recorder.record(&intent("GET https://host/x")).unwrap();
                }
                assert!(!seal(&recorder).unwrap().synced);
            });
        }
    });
    let head = seal(&log.recorder("last")).unwrap().head;
    let report = verify(log.path(), Some(&head), &[]).unwrap();
    assert!(report.is_consistent(), "{:?}", report.findings);
    assert_eq!(report.lines, 1601);
    assert_eq!(
        report.anchor,
        Some(Anchor {
            line: 1601,
            seq: 1601
        })
    );
}

#[test]
fn only_the_owner_may_read_and_nobody_else_may_write() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("new/audit");
    let log = AuditLog::create(&folder).unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(log.path()), 0o600);
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o777)).unwrap();
    assert!(matches!(
        AuditLog::create(&folder),
        Err(AuditError::Unsafe { .. })
    ));
}

#[test]
fn long_and_hostile_texts_stay_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let log = AuditLog::create(folder.path()).unwrap();
    let recorder = log.recorder("run-1");
    let long = "é\n\u{1b}\"".repeat(2000);
    recorder.record(&intent(&long)).unwrap();
    let ids = vec![long.clone(); 3];
    recorder
        .record(&Event::Outcome {
            of: 2,
            outcome: OutcomeKind::Ok,
            reason: Some(&long),
            vault_request_ids: &ids,
            detail: BTreeMap::from([("status", 200)]),
            micros: 5,
        })
        .unwrap();
    let head = seal(&recorder).unwrap().head;
    assert!(
        verify(log.path(), Some(&head), &[])
            .unwrap()
            .is_consistent()
    );
    let text = std::fs::read_to_string(log.path()).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert!(text.lines().all(|line| line.len() < 20_000));
    assert!(text.contains("bytes cut)"));
    let mut shown = Vec::new();
    let count = show(log.path(), Some("run-1"), false, &mut |line| match line {
        Shown::Text(text) => shown.push(text),
        Shown::Json(_) | Shown::Unreadable(_) => panic!("unexpected"),
    });
    assert_eq!(count.unwrap(), 2);
    assert!(shown[0].contains("intent") && shown[0].contains("grant=http.billing"));
    assert!(shown.iter().all(|line| !line.contains(['\n', '\u{1b}'])));
}

#[test]
fn a_failed_write_closes_the_chain() {
    let log = AuditLog::on_full_disk();
    let recorder = log.recorder("run-1");
    let first = recorder.record(&intent("x"));
    assert!(matches!(first, Err(AuditError::Io { .. })), "{first:?}");
    let second = recorder.record(&intent("x"));
    assert!(
        matches!(second, Err(AuditError::Closed { .. })),
        "{second:?}"
    );
    assert!(matches!(seal(&recorder), Err(AuditError::Closed { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn malformed_files_are_findings_not_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(!check(&bytes, None).is_consistent());
    }

    #[test]
    fn spliced_files_are_findings_not_panics(cuts in proptest::collection::vec((0_usize..2000, 0_usize..2000), 1..8)) {
        let (lines, head) = chain(3);
        let whole = lines.concat();
        let mut spliced = Vec::new();
        for (a, b) in cuts {
            let (a, b) = (a.min(whole.len()), b.min(whole.len()));
            spliced.extend_from_slice(&whole[a.min(b)..a.max(b)]);
        }
        let report = check(&spliced, Some(&head));
        prop_assert_eq!(report.is_consistent() && report.anchor.is_some(), spliced == whole);
    }
}

#[test]
fn what_killed_processes_wrote_is_synced_and_what_cannot_be_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        drop(AuditLog::create(folder.path()).unwrap());
    }
    sync_chains(folder.path()).unwrap();
    // There is no disk behind it, and it is of this moment.
    let other = folder.path().join("0.jsonl");
    std::os::unix::fs::symlink("/proc/self/status", &other).unwrap();
    let error = sync_chains(folder.path()).unwrap_err();
    assert!(matches!(error, AuditError::Io { path, .. } if path == other));
}

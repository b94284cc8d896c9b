//! What a kill left behind, and who is left alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cofferdam::vault::{AuthorityKind, SweepOutcome, Vault};
use cofferdam_devkit::journal::{self, Record};
use serde_json::json;

use super::world::{World, config, open};

/// A process that is gone, and left the token of one attempt and its log-in.
async fn leave_one(world: &World) {
    let dead = world.vault();
    drop(open(&dead, "dead").await);
}

#[tokio::test]
async fn a_sweep_revokes_what_was_left_and_touches_nobody_who_lives() {
    let world = World::start().await;
    leave_one(&world).await;
    let left = world.living().await;
    assert_eq!(left.len(), 2, "a log-in and a child outlive their process");

    // Opening starts a sweep of the neighbour's own in the background.
    let neighbour = world.vault();
    let living = open(&neighbour, "living").await;

    let vault = world.vault();
    let report = vault.sweep().await.unwrap();
    assert!(report.failure.is_none());
    assert!(report.live >= 2, "{report:?}");
    assert!(
        vault
            .close()
            .await
            .is_none_or(|revocation| revocation.complete)
    );

    assert!(living.close().await.complete);
    assert!(neighbour.close().await.expect("a log-in").complete);
    for accessor in left {
        assert_ne!(world.lookup(&accessor).await.0, 200);
    }
    assert!(world.living().await.is_empty());
    assert!(world.journal().is_empty());
}

#[tokio::test]
async fn a_sweep_reports_and_hides_accessors() {
    let world = World::start().await;
    leave_one(&world).await;
    let left = world.journalled();

    let vault = world.vault();
    let report = vault.sweep().await.unwrap();
    let kinds: Vec<_> = report
        .found
        .iter()
        .map(|swept| (swept.kind, swept.outcome))
        .collect();
    assert_eq!(
        kinds,
        [
            (Some(AuthorityKind::Attempt), SweepOutcome::Revoked),
            (Some(AuthorityKind::Login), SweepOutcome::Revoked),
        ]
    );
    assert!(report.is_clean());
    let shown = format!("{report:?}{}", serde_json::to_string(&report).unwrap());
    assert!(
        left.iter().all(|accessor| !shown.contains(accessor)),
        "{shown}"
    );
    assert_eq!(left.len(), 2);
    vault.close().await;
    assert!(world.living().await.is_empty());
}

#[tokio::test]
async fn the_first_attempt_sweeps_too() {
    let world = World::start().await;
    leave_one(&world).await;
    let vault = world.vault();
    assert!(open(&vault, "next").await.close().await.complete);
    assert!(vault.close().await.expect("a log-in").complete);
    assert!(world.living().await.is_empty());
    assert!(world.journal().is_empty());
}

/// Writes a journal file as a killed process leaves it.
fn leave(world: &World, name: &str, server: &str, expires: &str) {
    let line = json!({
        "form": 1, "kind": "attempt", "id": name, "task": "billing", "server": server,
        "created": "2026-01-01T00:00:00Z", "expires": expires,
    });
    let folder = world.state().join("journal");
    std::fs::write(
        folder.join(format!("attempt-{name}.json")),
        format!("{line}\n"),
    )
    .unwrap();
}

#[tokio::test]
async fn a_mint_in_flight_stays_until_it_is_dead() {
    let world = World::start().await;
    let vault = world.vault();
    open(&vault, "makes-the-folder").await.close().await;
    vault.close().await;
    leave(
        &world,
        "flying",
        &world.bao.address(),
        "2999-01-01T00:00:00Z",
    );
    leave(
        &world,
        "landed",
        &world.bao.address(),
        "2026-01-01T00:01:00Z",
    );
    leave(
        &world,
        "other",
        "https://vault.example.com",
        "2026-01-01T00:01:00Z",
    );
    std::fs::write(world.state().join("journal/garbage"), "x").unwrap();

    let report = world.vault().sweep().await.unwrap();
    let outcomes: Vec<_> = report
        .found
        .iter()
        .map(|s| (s.id.as_str(), s.outcome))
        .collect();
    assert_eq!(
        outcomes,
        [
            ("flying", SweepOutcome::InFlight),
            ("landed", SweepOutcome::Expired),
            ("other", SweepOutcome::OtherServer),
            ("garbage", SweepOutcome::Unreadable),
        ]
    );
    assert!(!report.is_clean());
    assert_eq!(world.journal().len(), 3);
    assert!(world.living().await.is_empty(), "nothing needed a log-in");
}

/// Two servers of which each is a cluster, and one journal. To the second one
/// every accessor of the first is unknown.
#[tokio::test]
async fn a_token_of_another_cluster_is_not_taken_for_dead() {
    for told in [true, false] {
        let (first, second) = (World::start().await, World::start().await);
        let dead = first.vault();
        drop(open(&dead, "dead").await);
        drop(dead);
        let left = first.living().await;
        let records = first.journal();
        assert_eq!((left.len(), records.len()), (2, 2));
        for record in records.iter().filter(|_| !told) {
            // As an older version wrote it.
            let (intent, rest) = record.text.split_once('\n').unwrap();
            let mut intent: serde_json::Value = serde_json::from_str(intent).unwrap();
            assert!(intent.as_object_mut().unwrap().remove("cluster").is_some());
            record.rewrite(&format!("{intent}\n{rest}")).unwrap();
        }

        // The second one took the first's place, and its address is still known.
        let both = config(&format!(
            "addresses = [{:?}, {:?}]\n[auth.approle]\nrole_id_file = {:?}\nsecret_id_file = {:?}\n",
            second.bao.address(),
            first.bao.address(),
            second.files.role_id_file,
            second.files.secret_id_file,
        ));
        let next = Vault::new(both, &first.state()).unwrap();
        let report = next.sweep().await.unwrap();
        next.close().await;
        assert!(report.failure.is_none());
        assert_eq!(report.found.len(), 2);
        assert_eq!(first.living().await, left);
        let outcomes: Vec<_> = report.found.iter().map(|swept| swept.outcome).collect();
        if !told {
            // The control: by the address alone they are taken for dead.
            assert_eq!(outcomes, [SweepOutcome::Revoked; 2]);
            continue;
        }
        assert_eq!(outcomes, [SweepOutcome::OtherServer; 2]);
        assert_eq!(first.journalled(), left);

        let vault = first.vault();
        assert!(vault.sweep().await.unwrap().is_clean());
        vault.close().await;
        assert!(first.living().await.is_empty());
        assert!(first.journal().is_empty());
        assert!(second.living().await.is_empty());
    }
}

#[tokio::test]
async fn a_file_that_names_no_cluster_is_swept_by_its_address() {
    let world = World::start().await;
    leave_one(&world).await;
    for record in world.journal() {
        let (intent, rest) = record.text.split_once('\n').unwrap();
        let mut intent: serde_json::Value = serde_json::from_str(intent).unwrap();
        assert!(intent.as_object_mut().unwrap().remove("cluster").is_some());
        record.rewrite(&format!("{intent}\n{rest}")).unwrap();
    }
    let vault = world.vault();
    let report = vault.sweep().await.unwrap();
    assert!(report.is_clean() && report.found.len() == 2, "{report:?}");
    vault.close().await;
    assert!(world.living().await.is_empty());
    assert!(world.journal().is_empty());
}

/// Lines that a full disk tore, by hand: what stands beside them is revoked.
#[tokio::test]
async fn a_torn_line_keeps_nothing_else_from_the_sweep() {
    for torn in ["accessor", "lease"] {
        let world = World::start().await;
        leave_one(&world).await;
        let mut records = world.journal().into_iter();
        let attempt = records.find(Record::is_attempt).unwrap();
        let (intent, accessor) = attempt.text.split_once('\n').unwrap();
        let (piece, _) = accessor.split_at(accessor.len() / 2);
        let lease = "{\"lease\":\"database/creds/a/1\"}\n";
        let text = match torn {
            "accessor" => format!("{intent}\n{piece}\n{lease}"),
            _ => format!("{intent}\n{accessor}{{\"lease\":\"data{lease}{lease}"),
        };
        attempt.rewrite(&text).unwrap();

        let next = world.vault();
        let report = next.sweep().await.unwrap();
        let found = &report.found[0];
        // The lease of no engine counts as dead for Vault, and as revoked.
        let leases = found.leases.map(|leases| (leases.revoked, leases.left));
        assert_eq!(leases, Some((1, 0)), "{torn}: {report:?}");
        let outcome = match torn {
            // Nobody can name it; its log-in's end is its end.
            "accessor" => SweepOutcome::InFlight,
            _ => SweepOutcome::Revoked,
        };
        assert_eq!(found.outcome, outcome, "{torn}: {report:?}");
        next.close().await;
        assert!(world.living().await.is_empty(), "{torn}");
        assert_eq!(attempt.is_there().unwrap(), torn == "accessor");
    }
}

/// Writes a segment as a killed process leaves it: these blocks, and blank ones.
fn leave_blocks(world: &World, blocks: &[(usize, &str)]) {
    let mut bytes = vec![0; 4 * journal::BLOCK];
    for (block, text) in blocks {
        let at = block * journal::BLOCK;
        bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    let path = world.state().join("journal/attempts-left.journal");
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_block_keeps_nothing_else_from_the_sweep() {
    let world = World::start().await;
    leave_one(&world).await;
    let mut records = world.journal().into_iter();
    let attempt = records.find(Record::is_attempt).unwrap();
    attempt.remove().unwrap();
    leave_blocks(&world, &[(0, "garbage"), (2, &attempt.text)]);
    let damaged = ("attempts-left.journal, block 0", SweepOutcome::Unreadable);

    let vault = world.vault();
    for others in [2, 0] {
        let report = vault.sweep().await.unwrap();
        let outcomes = report
            .found
            .iter()
            .map(|one| (one.id.as_str(), one.outcome));
        let outcomes: Vec<_> = outcomes.collect();
        assert_eq!(outcomes.len(), 1 + others, "{report:?}");
        assert_eq!(outcomes[0], damaged);
        if others > 0 {
            assert_eq!(outcomes[1], ("dead", SweepOutcome::Revoked));
            assert_eq!(report.found[2].kind, Some(AuthorityKind::Login));
        }
        assert!(!report.is_clean());
    }
    assert_eq!(
        world
            .journal()
            .iter()
            .filter(|it| it.block == Some(0))
            .count(),
        1
    );
    vault.close().await;
    assert!(world.living().await.is_empty());
}

/// A kill while a record moved from its block to a file of its own.
#[tokio::test]
async fn a_record_in_two_places_is_told_once_and_gone_from_both() {
    let world = World::start().await;
    leave_one(&world).await;
    let mut records = world.journal().into_iter();
    let attempt = records.find(Record::is_attempt).unwrap();
    leave_blocks(&world, &[(1, &attempt.text)]);
    assert_eq!(world.journal().len(), 3);
    let facts = cofferdam::vault::inspect::journal(&world.state()).unwrap();
    assert_eq!(facts.left.len(), 2, "{facts:?}");

    let vault = world.vault();
    let report = vault.sweep().await.unwrap();
    assert!(report.is_clean() && report.found.len() == 2, "{report:?}");
    vault.close().await;
    assert!(world.living().await.is_empty());
    assert!(world.journal().is_empty());
}

/// A power loss can take the record of an attempt, which was not waited for. The
/// log-in's file is on the disk, and its end is that of its children.
#[tokio::test]
async fn an_attempt_whose_record_a_power_loss_took_ends_with_its_log_in() {
    for torn in [false, true] {
        let world = World::start().await;
        leave_one(&world).await;
        assert_eq!(world.living().await.len(), 2);
        let mut records = world.journal().into_iter();
        let attempt = records.find(Record::is_attempt).unwrap();
        if torn {
            attempt.rewrite("{\"form\":1,\"ki").unwrap();
        } else {
            attempt.remove().unwrap();
        }
        let next = world.vault();
        next.sweep().await.unwrap();
        next.close().await;
        assert!(world.living().await.is_empty(), "torn: {torn}");
    }
}

#[tokio::test]
async fn a_sweep_without_vault_keeps_everything() {
    let world = World::start().await;
    leave_one(&world).await;
    let text = world.approle("");
    // The same server's name, but nothing behind it.
    let address = world.bao.address();
    let files = world.journal().len();
    let state = world.state();
    let World {
        bao,
        folder: _folder,
        files: _,
    } = world;
    bao.stop();
    assert_eq!(text.addresses.first().to_string(), address);
    let report = Vault::new(text, &state).unwrap().sweep().await.unwrap();
    assert_eq!(
        report.failure.as_ref().map(|error| error.reason()),
        Some("unreachable")
    );
    assert_eq!(report.found.len(), files);
    assert!(
        report
            .found
            .iter()
            .all(|swept| swept.outcome == SweepOutcome::Left)
    );
    assert_eq!(journal::written(&state).unwrap().len(), files);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_runs_beside_a_loop_of_sweeps_all_finish() {
    let world = World::start().await;
    let stop = AtomicBool::new(false);
    let sweeps = async {
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            let vault = world.vault();
            let report = vault.sweep().await.unwrap();
            assert!(report.found.is_empty(), "took from the living: {report:?}");
            vault.close().await;
            count += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        count
    };
    let runs = async {
        let runs = (0..20).map(|number| {
            let vault = world.vault();
            async move {
                for round in 0..3 {
                    let session = open(&vault, &format!("run-{number}-{round}")).await;
                    let path = cofferdam::vault::path::KvPath::V1 {
                        mount: "kv1".parse().unwrap(),
                        path: "billing".parse().unwrap(),
                    };
                    assert!(session.handle().kv(&path).await.is_ok());
                    assert!(session.close().await.complete);
                }
                assert!(vault.close().await.expect("a log-in").complete);
            }
        });
        futures_util::future::join_all(runs).await;
        stop.store(true, Ordering::Relaxed);
    };
    let (count, ()) = tokio::join!(sweeps, runs);
    assert!(count > 1);
    assert!(world.living().await.is_empty());
    assert!(world.journal().is_empty());
}

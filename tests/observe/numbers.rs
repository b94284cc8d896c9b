//! The numbers of a process, held against the server's own audit.

use std::time::Duration;

use cofferdam::vault::{Health, Operation, RequestOutcome, Vault};
use cofferdam_devkit::proxy::{Fault, Proxy, Rule};

use super::world::{Watched, asked, lines};
use crate::in_process::{attempt, runner};
use crate::vault::world::{World, config, open};

/// Where an operation shows in the server's audit.
const PATHS: [(Operation, &str); 8] = [
    (Operation::LogIn, "auth/approle/login"),
    (Operation::Mint, "auth/token/create/cofferdam"),
    (Operation::Read, "secret/data/api"),
    (Operation::Key, "transit/sign/signer"),
    (Operation::Lease, "database/creds/reader"),
    (Operation::RenewLease, "sys/leases/renew"),
    (Operation::RevokeLease, "sys/leases/revoke"),
    (Operation::Revoke, "auth/token/revoke-accessor"),
];

#[tokio::test]
async fn the_numbers_of_an_attempt_are_the_servers() {
    let watched = Watched::start().await;
    let from = watched.lines();
    let runner = runner(&watched.world);
    let vault = runner.vault().unwrap().clone();
    assert!(vault.stats().requests.is_empty());
    let report = attempt(&runner, "everything", &Watched::input()).await;
    assert_eq!(report.exit, 0, "{report:?}");

    let stats = vault.stats();
    let asked = watched.asked(from);
    for (operation, path) in PATHS {
        let audited = asked.iter().filter(|(asked, _)| asked.starts_with(path));
        let counted = stats.requests_of(operation, RequestOutcome::Ok);
        assert_eq!(counted, audited.count() as u64, "{operation}");
        assert!(counted > 0, "{operation}");
    }
    // Nothing else was asked but for health, which the server does not audit.
    let all = stats.requests.iter();
    let all = all.filter(|one| one.operation != Operation::Health);
    assert_eq!(all.map(|one| one.count).sum::<u64>(), asked.len() as u64);
    assert_eq!(
        stats.requests_of(Operation::Health, RequestOutcome::Ok),
        1,
        "{stats:?}"
    );
    assert!(stats.requests.iter().all(|one| !one.time.is_zero()));
    assert_eq!((stats.log_ins.made, stats.log_ins.failed), (1, 0));
    assert_eq!((stats.live_tokens, stats.live_leases), (0, 0));
    assert_eq!(stats.pending_revocations, 0);
    let [node] = &stats.nodes[..] else {
        panic!("one node: {stats:?}");
    };
    let (health, age) = node.health.as_ref().unwrap();
    assert_eq!((health.health, node.is_current), (Health::Active, true));
    assert!(*age < Duration::from_secs(60));
    runner.close(report).await;
}

#[tokio::test]
async fn what_lives_and_what_is_left_is_counted() {
    let world = World::start().await;
    let proxy = Proxy::start(world.bao.socket()).unwrap();
    let settings = format!(
        "address = {:?}\ntimeout = \"2s\"\n[auth.approle]\nrole_id_file = {:?}\nsecret_id_file = {:?}\n",
        proxy.address(),
        world.files.role_id_file,
        world.files.secret_id_file,
    );
    let vault = Vault::new(config(&settings), &world.state()).unwrap();
    let (one, two) = (open(&vault, "one").await, open(&vault, "two").await);
    assert_eq!(vault.stats().live_tokens, 2);
    assert!(one.close().await.complete);
    assert_eq!(vault.stats().live_tokens, 1);
    assert_eq!(vault.stats().pending_revocations, 0);

    let broken = proxy.inject(Rule::on(
        "POST",
        "revoke-accessor",
        Fault::Status(503, None),
    ));
    assert!(!two.close().await.complete);
    assert!(broken.hits() >= 1);
    let stats = vault.stats();
    assert_eq!((stats.live_tokens, stats.pending_revocations), (0, 1));
    let failed = stats.requests_of(Operation::Revoke, RequestOutcome::Unavailable);
    assert_eq!(failed, broken.hits());

    // Dropped without an end, and one that another process left.
    drop(open(&vault, "three").await);
    assert_eq!(vault.stats().live_tokens, 0);
    assert_eq!(vault.stats().pending_revocations, 2);
    assert!(!vault.sweep().await.unwrap().is_clean());
    assert_eq!(vault.stats().pending_revocations, 2);
    drop(broken);
    assert!(vault.sweep().await.unwrap().is_clean());
    assert_eq!(vault.stats().pending_revocations, 0);

    // Another process settles it: the next sweep notices.
    drop(open(&vault, "four").await);
    assert_eq!(vault.stats().pending_revocations, 1);
    let other = Vault::new(config(&settings), &world.state()).unwrap();
    assert!(other.sweep().await.unwrap().is_clean());
    other.close().await;
    assert!(vault.sweep().await.unwrap().is_clean());
    assert_eq!(vault.stats().pending_revocations, 0);
    vault.close().await;
}

#[tokio::test]
async fn log_ins_that_fail_and_nodes_that_are_away_are_counted() {
    let world = World::start().await;
    let from = lines(&world.bao);
    let wrong = world.file("wrong-secret-id", "not-one-of-theirs");
    let vault = Vault::new(world.approle_with(&wrong, ""), &world.state()).unwrap();
    let refused = crate::vault::world::refused(&vault, "one").await;
    assert_eq!(refused.reason(), "login_refused", "{refused}");
    let stats = vault.stats();
    assert_eq!((stats.log_ins.made, stats.log_ins.failed), (0, 1));
    let asked = asked(&world.bao, from);
    let log_ins: Vec<_> = (stats.requests.iter())
        .filter(|one| one.operation == Operation::LogIn)
        .collect();
    assert_eq!(
        asked.len() as u64,
        log_ins.iter().map(|one| one.count).sum::<u64>()
    );
    assert!(log_ins.iter().all(|one| one.outcome != RequestOutcome::Ok));

    let all = vault.health(Duration::from_secs(5)).await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].health, Health::Active);
    drop(world.bao);
    let all = vault.health(Duration::from_secs(5)).await;
    assert!(matches!(all[0].health, Health::Unreachable(_)), "{all:?}");
    let stats = vault.stats();
    let (last, _) = stats.nodes[0].health.as_ref().unwrap();
    assert_eq!(last.health, all[0].health);
    assert_eq!(
        stats.requests_of(Operation::Health, RequestOutcome::Unreachable),
        1
    );
}

//! A server that fails at chosen requests, through the fault-injecting proxy.

use cofferdam::vault::path::KvPath;
use cofferdam::vault::{AuthorityKind, SweepOutcome, Vault, VaultConfig, VaultError};
use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use serde_json::json;

use super::world::{World, config, open, refused, try_open};

/// `[vault]` for the server behind the proxy.
fn behind(world: &World, proxy: &Proxy) -> VaultConfig {
    config(&format!(
        "address = {:?}\ntimeout = \"2s\"\n[auth.approle]\nrole_id_file = {:?}\nsecret_id_file = {:?}\n",
        proxy.address(),
        world.files.role_id_file,
        world.files.secret_id_file,
    ))
}

fn count(proxy: &Proxy, part: &str) -> usize {
    let passed = proxy.passed();
    passed
        .iter()
        .filter(|one| one.target.contains(part))
        .count()
}

#[tokio::test]
async fn a_lost_mint_is_never_repeated_and_is_remembered() {
    let world = World::start().await;
    let proxy = Proxy::start(world.bao.socket()).unwrap();
    let vault = Vault::new(behind(&world, &proxy), &world.state()).unwrap();
    let lost = proxy.inject(Rule::on("POST", "token/create", Fault::ResetAfterAnswer).times(1));
    let error = refused(&vault, "lost").await;
    assert_eq!(error.reason(), "unreachable", "{error}");
    assert_eq!(lost.hits(), 1);
    assert_eq!(count(&proxy, "token/create"), 1, "asked once");
    assert_eq!(
        world.living().await.len(),
        2,
        "the log-in and a token that nobody knows"
    );

    let report = vault.sweep().await.unwrap();
    assert_eq!(report.found.len(), 1, "{report:?}");
    assert_eq!(report.found[0].outcome, SweepOutcome::InFlight);
    assert_eq!(report.found[0].id, "lost");
    // It is a child of the log-in: a proper end of the process ends it too.
    assert!(vault.close().await.expect("a log-in").complete);
    assert!(world.living().await.is_empty());
}

#[tokio::test]
async fn a_revocation_is_tried_again_and_confirmed() {
    let world = World::start().await;
    let proxy = Proxy::start(world.bao.socket()).unwrap();
    let vault = Vault::new(behind(&world, &proxy), &world.state()).unwrap();
    let session = open(&vault, "one").await;
    // The first is done but its answer is lost; the second meets a storm.
    let lost = proxy.inject(Rule::on("POST", "revoke-accessor", Fault::ResetAfterAnswer).times(1));
    let storm =
        proxy.inject(Rule::on("POST", "revoke-accessor", Fault::Status(503, None)).times(1));
    assert!(session.close().await.complete);
    assert_eq!((lost.hits(), storm.hits()), (1, 1));
    assert_eq!(count(&proxy, "revoke-accessor"), 3);
    assert!(vault.close().await.expect("a log-in").complete);
    assert!(world.living().await.is_empty());
}

#[tokio::test]
async fn a_read_is_repeated_a_bounded_number_of_times() {
    let world = World::start().await;
    let proxy = Proxy::start(world.bao.socket()).unwrap();
    let vault = Vault::new(behind(&world, &proxy), &world.state()).unwrap();
    let session = open(&vault, "one").await;
    let path = KvPath::V1 {
        mount: "kv1".parse().unwrap(),
        path: "billing".parse().unwrap(),
    };
    let once = proxy.inject(Rule::on("GET", "kv1/billing", Fault::Status(429, None)).times(1));
    assert!(session.handle().kv(&path).await.is_ok());
    assert_eq!((once.hits(), count(&proxy, "kv1/billing")), (1, 2));

    let always = proxy.inject(Rule::on("GET", "kv1/billing", Fault::Status(500, None)).times(9));
    let error = session.handle().kv(&path).await.expect_err("a storm");
    assert_eq!(error.reason(), "overloaded");
    // As many as fit into the time for one call.
    assert!((3..=6).contains(&always.hits()), "{}", always.hits());
    assert!(session.close().await.complete);
    vault.close().await;
}

#[tokio::test]
async fn a_lost_log_in_is_remembered_without_a_name() {
    let world = World::start().await;
    let proxy = Proxy::start(world.bao.socket()).unwrap();
    let vault = Vault::new(behind(&world, &proxy), &world.state()).unwrap();
    let lost = proxy.inject(Rule::on("POST", "approle/login", Fault::ResetAfterAnswer).times(1));
    assert_eq!(refused(&vault, "one").await.reason(), "unreachable");
    assert_eq!((lost.hits(), count(&proxy, "approle/login")), (1, 1));
    let report = vault.sweep().await.unwrap();
    assert_eq!(report.found.len(), 1);
    assert_eq!(report.found[0].kind, Some(AuthorityKind::Login));
    assert_eq!(report.found[0].outcome, SweepOutcome::InFlight);
    // The next attempt is not held up by it.
    assert!(open(&vault, "two").await.close().await.complete);
    assert!(vault.close().await.expect("a log-in").complete);
    assert_eq!(
        world.living().await.len(),
        1,
        "the one that nobody can name"
    );
}

#[tokio::test]
async fn a_mint_that_nobody_waits_for_any_more_is_remembered() {
    let world = World::start().await;
    let proxy = Proxy::start(world.bao.socket()).unwrap();
    let vault = Vault::new(behind(&world, &proxy), &world.state()).unwrap();
    let held = proxy.inject(Rule::on("POST", "token/create", Fault::HoldResponse).times(1));
    {
        let waiting = try_open(&vault, "gone");
        tokio::pin!(waiting);
        tokio::select! {
            _ = &mut waiting => panic!("the answer is held"),
            hit = held.hit(std::time::Duration::from_secs(5)) => hit.unwrap(),
        }
    }
    let report = vault.sweep().await.unwrap();
    assert_eq!(report.found.len(), 1, "{report:?}");
    assert_eq!(report.found[0].outcome, SweepOutcome::InFlight);
    held.release();
    assert!(vault.close().await.expect("a log-in").complete);
    assert!(world.living().await.is_empty());
}

/// The answer of a server that wants the host's clock to run over.
const FOR_EVER: u64 = u64::MAX;

#[tokio::test]
async fn a_wait_without_end_ends_a_revocation_and_no_process() {
    let world = World::start().await;
    let proxy = Proxy::start(world.bao.socket()).unwrap();
    let vault = Vault::new(behind(&world, &proxy), &world.state()).unwrap();
    let session = open(&vault, "one").await;
    let limited = Fault::Status(429, Some(FOR_EVER));
    let attempt = proxy.inject(Rule::on("POST", "revoke-accessor", limited.clone()).times(1));
    let revocation = session.close().await;
    assert!(!revocation.complete, "{revocation:?}");
    assert_eq!(revocation.reason, Some("overloaded"));
    let login = proxy.inject(Rule::on("POST", "revoke-self", limited).times(1));
    assert!(!vault.close().await.expect("a log-in").complete);
    assert_eq!((attempt.hits(), login.hits()), (1, 1));
    assert_eq!(world.living().await.len(), 2);
    assert_eq!(world.journal().len(), 2);

    let next = Vault::new(behind(&world, &proxy), &world.state()).unwrap();
    assert!(next.sweep().await.unwrap().is_clean());
    assert!(next.close().await.expect("a log-in").complete);
    assert!(world.living().await.is_empty());
    assert!(world.journal().is_empty());
}

#[tokio::test]
async fn a_log_in_that_says_it_lives_for_ages_is_journalled_and_ended() {
    for ages in [FOR_EVER, i64::MAX.unsigned_abs()] {
        let world = World::start().await;
        let proxy = Proxy::start(world.bao.socket()).unwrap();
        let vault = Vault::new(behind(&world, &proxy), &world.state()).unwrap();
        let number = Fault::Number("lease_duration".to_owned(), ages);
        let login = proxy.inject(Rule::on("POST", "approle/login", number.clone()));
        let session = open(&vault, "one").await;
        assert_eq!(world.journalled(), world.living().await);
        assert!(session.close().await.complete);

        // Asked for an end that the log-in is not known to reach.
        let renewal = proxy.inject(Rule::on("POST", "renew-self", number));
        drop(login);
        world
            .root(
                "POST",
                "auth/approle/role/cofferdam-host",
                Some(json!({"token_ttl": "50s"})),
            )
            .await;
        let other = Vault::new(behind(&world, &proxy), &world.state()).unwrap();
        assert!(open(&other, "two").await.close().await.complete);
        assert_eq!(renewal.hits(), 1);
        assert!(other.close().await.expect("a log-in").complete);
        assert!(vault.close().await.expect("a log-in").complete);
        assert!(world.living().await.is_empty());
        assert!(world.journal().is_empty());
    }
}

#[tokio::test]
async fn a_lent_token_that_says_it_lives_for_ages_carries_an_attempt() {
    let world = World::start().await;
    let proxy = Proxy::start(world.bao.socket()).unwrap();
    let body = json!({"policies": ["cofferdam-host"], "ttl": "1h"});
    let (_, made) = world.root("POST", "auth/token/create", Some(body)).await;
    let token = world.file("lent", made["auth"]["client_token"].as_str().unwrap());
    let lent = config(&format!(
        "address = {:?}\n[auth.token_file]\npath = {token:?}\n",
        proxy.address(),
    ));
    let vault = Vault::new(lent, &world.state()).unwrap();
    let number = Fault::Number("ttl".to_owned(), FOR_EVER);
    let looked = proxy.inject(Rule::on("GET", "lookup-self", number));
    assert!(open(&vault, "one").await.close().await.complete);
    assert_eq!(looked.hits(), 1);
    assert_eq!(world.living().await.len(), 1, "the lent one");
}

#[tokio::test]
async fn a_mint_that_says_it_lives_for_ages_is_refused_and_ended() {
    let world = World::start().await;
    let proxy = Proxy::start(world.bao.socket()).unwrap();
    let vault = Vault::new(behind(&world, &proxy), &world.state()).unwrap();
    let number = Fault::Number("lease_duration".to_owned(), FOR_EVER);
    let mint = proxy.inject(Rule::on("POST", "token/create", number));
    let error = refused(&vault, "one").await;
    assert!(
        matches!(error, VaultError::MintMismatch { revoked: true, .. }),
        "{error}"
    );
    assert_eq!(mint.hits(), 1);
    assert_eq!(world.living().await.len(), 1, "the log-in");
    assert!(vault.close().await.expect("a log-in").complete);
    assert!(world.living().await.is_empty());
    assert!(world.journal().is_empty());
}

/// With the sweep's own log-in at work, and one endpoint answered by a stranger.
#[tokio::test]
async fn a_sweep_takes_only_vaults_word_for_a_dead_token() {
    let page = Fault::Page(404, "default backend - 404".to_owned());
    for dead in [false, true] {
        let world = World::start().await;
        let proxy = Proxy::start(world.bao.socket()).unwrap();
        let killed = Vault::new(behind(&world, &proxy), &world.state()).unwrap();
        drop(open(&killed, "killed").await);
        drop(killed);
        let left = world.living().await;
        assert_eq!(left.len(), 2);
        for accessor in left.iter().filter(|_| dead) {
            let body = json!({"accessor": accessor});
            world
                .root("POST", "auth/token/revoke-accessor", Some(body))
                .await;
        }
        let stranger = proxy.inject(Rule::on("POST", "revoke-accessor", page.clone()));
        let vault = Vault::new(behind(&world, &proxy), &world.state()).unwrap();
        let report = vault.sweep().await.unwrap();
        assert!(stranger.hits() > 0);
        // Vault itself still says whether it knows the token.
        assert_eq!(report.is_clean(), dead, "{report:?}");
        if !dead {
            let reasons: Vec<_> = report.found.iter().map(|one| one.reason).collect();
            assert_eq!(reasons, [Some("not_vault"); 2]);
            assert!(world.living().await.is_superset(&left));
            assert!(world.journalled().is_superset(&left));
            drop(stranger);
            assert!(vault.sweep().await.unwrap().is_clean());
        }
        assert!(vault.close().await.expect("a log-in").complete);
        assert!(world.living().await.is_empty());
        assert!(world.journal().is_empty());
    }
}

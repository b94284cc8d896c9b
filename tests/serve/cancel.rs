//! Cancelling: answered when the authority is dead, and as often as one likes.

use std::time::{Duration, Instant};

use cofferdam::api::{CancelledBy, RunState};
use cofferdam::run::Outcome;
use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use cofferdam_devkit::upstream::Upstream;
use serde_json::json;
use uuid::Uuid;

use super::stage::{Stage, report};
use crate::common::{
    SOON, alive, api, becomes, canceller, get, install, minted, nobody_lives, world,
};

#[tokio::test]
async fn the_answer_comes_when_the_authority_is_dead() {
    let world = world().await;
    let upstream = Upstream::start().unwrap();
    install(&world, "caller", "probe-http", &api(&upstream.address()));
    let stage = Stage::of(world, "").await;
    let run = stage.submit("caller", get("never")).await.unwrap();
    let bao = stage.world.bao().unwrap();
    minted(bao, "caller", 1).await;
    let (one, two) = tokio::join!(async { stage.client().cancel(run).await.unwrap() }, async {
        stage.client().cancel(run).await.unwrap()
    },);
    let living = bao.living_policies().await.unwrap();
    assert_eq!(living, [["cofferdam-host"]], "only the service's log-in");
    for view in [&one, &two] {
        let report = report(view);
        assert_eq!((report.outcome, report.exit), (Outcome::Cancelled, 130));
        assert!(report.revocation.unwrap().complete);
        assert_eq!(view.cancelled_by, Some(CancelledBy::Caller));
    }
    assert_eq!(canceller(&stage.world, &run.to_string()), "caller");
    // And once it is over.
    let later = stage.client().cancel(run).await.unwrap();
    assert_eq!(later.ended, one.ended);
    let mut stage = stage;
    stage.stop().await;
    nobody_lives(stage.world.bao().unwrap()).await;
}

/// A service that reaches Vault through a proxy, and a run of it that has a token and
/// waits for an API.
async fn waiting(upstream: &Upstream) -> (Stage, Proxy, Uuid) {
    let world = world().await;
    install(&world, "caller", "probe-http", &api(&upstream.address()));
    let vault = Proxy::start(world.bao().unwrap().socket()).unwrap();
    world.vault_at(&vault.address()).unwrap();
    let stage = Stage::of(world, "").await;
    let run = stage.held(upstream).await;
    (stage, vault, run)
}

#[tokio::test]
async fn no_answer_comes_before_the_authority_is_dead() {
    let upstream = Upstream::start().unwrap();
    let (mut stage, vault, run) = waiting(&upstream).await;
    let rule = Rule::on("POST", "auth/token/revoke-accessor", Fault::HoldRequest);
    let held = vault.inject(rule);
    let client = stage.client();
    let cancelled = tokio::spawn(async move { client.cancel(run).await.unwrap() });
    held.hit(SOON).await.unwrap();
    // Less than the five seconds after which the revocation is given up.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let bao = stage.world.bao().unwrap();
    assert_eq!(alive(bao, "caller").await, 1);
    assert!(!cancelled.is_finished(), "it is answered too early");
    // Whoever only looks is not told that it is over.
    let view = stage.client().run(run, 0).await.unwrap();
    assert_eq!(view.state, RunState::Running);
    held.release();
    let view = cancelled.await.unwrap();
    assert_eq!(alive(bao, "caller").await, 0);
    let told = report(&view);
    assert_eq!((&told.outcome, told.exit), (&Outcome::Cancelled, 130));
    assert!(told.revocation.unwrap().complete, "{view:?}");
    stage.ends_clean().await;
}

#[tokio::test]
async fn an_authority_that_cannot_be_closed_is_told_and_closed_later() {
    let upstream = Upstream::start().unwrap();
    let (mut stage, vault, run) = waiting(&upstream).await;
    let away = Fault::Status(503, None);
    let away = vault.inject(Rule::on("POST", "auth/token/revoke-accessor", away));
    let begun = Instant::now();
    let view = stage.client().cancel(run).await.unwrap();
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert!(away.hits() >= 2, "{} tries", away.hits());
    let told = report(&view);
    assert_eq!((&told.outcome, told.exit), (&Outcome::Cancelled, 130));
    assert!(!told.revocation.unwrap().complete, "{view:?}");
    let bao = stage.world.bao().unwrap();
    assert_eq!(alive(bao, "caller").await, 1, "nobody ended it");
    let pending = "cofferdam_vault_pending_revocations";
    assert_eq!(stage.number(pending), Some(1.0));
    // Asked again, it says the same.
    let again = report(&stage.client().cancel(run).await.unwrap());
    assert!(!again.revocation.unwrap().complete);
    drop(away);
    becomes("it is swept", async || {
        (alive(bao, "caller").await, stage.number(pending)) == (0, Some(0.0))
    })
    .await;
    stage.logs("was swept").await;
    stage.ends_clean().await;
}

#[tokio::test]
async fn who_is_cancelled_in_the_queue_never_starts() {
    let stage = Stage::bare("[server.limits]\nruns = 1\n").await;
    let first = stage.submit("probe", json!({ "do": "sleep", "ms": 60_000 }));
    let first = first.await.unwrap();
    stage.running(first).await;
    let waits = stage.submit("hello", json!({ "name": "x" })).await.unwrap();
    let begun = Instant::now();
    let view = stage.client().cancel(waits).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    let told = report(&view);
    assert_eq!((told.outcome, told.exit), (Outcome::Cancelled, 130));
    stage.running(first).await;
    stage.client().cancel(first).await.unwrap();
    let audit = stage.world.audit().unwrap();
    let ends = audit.iter().filter(|line| line["event"] == "run_ended");
    let by: Vec<_> = ends.map(|line| line["cancelled_by"].clone()).collect();
    assert_eq!(by, ["caller", "caller"], "both are in the audit");
}

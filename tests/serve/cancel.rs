//! Cancelling: answered when the authority is dead, and as often as one likes.

use std::time::{Duration, Instant};

use cofferdam::api::CancelledBy;
use cofferdam::run::Outcome;
use cofferdam_devkit::upstream::Upstream;
use serde_json::json;

use super::stage::{Stage, report};
use crate::common::{api, canceller, get, install, minted, nobody_lives, world};

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

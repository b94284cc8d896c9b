//! Results outlive connections and services.

use std::time::{Duration, Instant};

use cofferdam::api::RunState;
use cofferdam_devkit::upstream::Upstream;
use serde_json::json;

use super::stage::{Stage, refusal, report, submission};
use crate::common::{api, becomes, get, install, minted, nobody_lives, world};

#[tokio::test]
async fn a_restarted_service_knows_what_was() {
    let mut stage = Stage::bare("").await;
    let submission = submission("hello", json!({ "name": "Ada" }));
    let first = stage.client().submit("k", &submission).await.unwrap();
    let before = stage.end_of(first.view.run).await;
    for is_kill in [false, true] {
        match is_kill {
            true => stage.kill(),
            false => stage.stop().await,
        }
        stage.start().await;
        let after = stage.end_of(first.view.run).await;
        assert_eq!(
            after.report.unwrap().get(),
            before.report.as_ref().unwrap().get()
        );
        let again = stage.client().submit("k", &submission).await.unwrap();
        assert!(again.replayed);
        assert_eq!(again.view.run, first.view.run);
    }
}

#[tokio::test]
async fn an_answer_that_was_waited_for_outlives_a_kill() {
    let mut stage = Stage::bare("").await;
    let many = (0..60).map(|number| {
        let client = stage.client();
        async move {
            let submission = submission("hello", json!({ "name": format!("no. {number}") }));
            let key = format!("k{number}");
            let taken = client.submit_and_wait(&key, &submission, 60).await.unwrap();
            (client, key, submission, taken.view)
        }
    });
    let told = futures_util::future::join_all(many).await;
    // The moment after the last answer.
    stage.kill();
    stage.start().await;
    for (client, key, submission, before) in told {
        assert_eq!(report(&before).exit, 0);
        let again = client.submit(&key, &submission).await.unwrap();
        assert!(again.replayed);
        assert_eq!(again.view.run, before.run);
        assert_eq!(
            again.view.report.unwrap().get(),
            before.report.unwrap().get()
        );
    }
}

#[tokio::test]
async fn a_run_without_grants_that_lasts_is_known_after_a_kill() {
    let mut stage = Stage::bare("").await;
    let sleeps = || submission("probe", json!({ "do": "sleep", "ms": 60_000 }));
    let waiting = {
        let (client, sleeps) = (stage.client(), sleeps());
        tokio::spawn(async move { client.submit_and_wait("k", &sleeps, 60).await })
    };
    becomes("it begins", async || {
        memchr::memmem::find(&stage.get("/v1/runs"), b"\"running\"").is_some()
    })
    .await;
    // Much longer than it may take to be written down.
    tokio::time::sleep(Duration::from_millis(500)).await;
    stage.kill();
    assert!(waiting.await.unwrap().is_err(), "nobody told its end");
    stage.start().await;
    let again = stage.client().submit("k", &sleeps()).await.unwrap();
    assert_eq!((again.replayed, again.view.state), (true, RunState::Lost));
    let numbers = String::from_utf8(stage.get("/metrics")).unwrap();
    let lost = "cofferdam_runs_total{task=\"probe\",outcome=\"lost\",exit=\"\"} 1";
    assert!(numbers.contains(lost), "{numbers}");
}

#[tokio::test]
async fn a_run_that_died_with_its_service_is_lost_and_its_authority_too() {
    let world = world().await;
    let upstream = Upstream::start().unwrap();
    install(&world, "caller", "probe-http", &api(&upstream.address()));
    let mut stage = Stage::of(world, "").await;
    let submission = submission("caller", get("never"));
    let submitted = stage.client().submit("k", &submission).await.unwrap();
    let run = submitted.view.run;
    let task = vec!["cofferdam-task-caller".to_owned()];
    minted(stage.world.bao().unwrap(), "caller", 1).await;
    stage.kill();
    let living = stage.world.bao().unwrap().living_policies().await.unwrap();
    assert!(living.contains(&task), "the kill left a token");
    stage.start().await;
    let living = stage.world.bao().unwrap().living_policies().await.unwrap();
    assert!(!living.contains(&task), "{living:?}");
    let view = stage.client().run(run, 0).await.unwrap();
    assert_eq!((view.state, view.swept), (RunState::Lost, Some(true)));
    assert!(view.report.is_none() && view.ended.is_some());
    let again = stage.client().submit("k", &submission).await.unwrap();
    assert_eq!((again.replayed, again.view.state), (true, RunState::Lost));
    let audit = stage.world.audit().unwrap();
    let lost = audit
        .iter()
        .find(|line| line["event"] == "run_lost")
        .unwrap();
    assert_eq!((&lost["run"], &lost["swept"]), (&json!(run), &json!(true)));
    stage.ends_clean().await;
}

#[tokio::test]
async fn a_service_that_cannot_listen_leaves_no_log_in() {
    let world = world().await;
    let upstream = Upstream::start().unwrap();
    install(&world, "caller", "probe-http", &api(&upstream.address()));
    let mut stage = Stage::of(world, "").await;
    let run = stage.submit("caller", get("never")).await.unwrap();
    stage.running(run).await;
    minted(stage.world.bao().unwrap(), "caller", 1).await;
    stage.kill();
    // What the kill left makes the next service log in, to sweep it.
    std::fs::remove_file(stage.socket()).unwrap();
    let _other = std::os::unix::net::UnixListener::bind(stage.socket()).unwrap();
    let log_ins = stage
        .world
        .bao()
        .unwrap()
        .tokens_made("auth/approle/login")
        .unwrap();
    let output = stage.world.command(&["serve"]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("another process listens"), "{told}");
    let bao = stage.world.bao().unwrap();
    assert!(bao.tokens_made("auth/approle/login").unwrap() > log_ins);
    nobody_lives(bao).await;
}

#[tokio::test]
async fn results_are_forgotten_when_their_time_is_over() {
    let stage = Stage::bare("[server.results]\nkeep = \"1s\"\n").await;
    let submission = submission("hello", json!({ "name": "Ada" }));
    let first = stage
        .client()
        .submit("k", &submission)
        .await
        .unwrap()
        .view
        .run;
    assert_eq!(report(&stage.end_of(first).await).exit, 0);
    let begun = Instant::now();
    loop {
        match stage.client().run(first, 0).await {
            Ok(_) => assert!(begun.elapsed() < Duration::from_secs(10), "it is kept"),
            refused => {
                assert_eq!(refusal(refused).0, 404);
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let again = stage.client().submit("k", &submission).await.unwrap();
    assert!(!again.replayed && again.view.run != first);
}

#[tokio::test]
async fn one_folder_serves_one_service() {
    let stage = Stage::bare("").await;
    let output = stage.world.command(&["serve"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("another `cofferdam serve`"), "{told}");
    assert_eq!(stage.run("hello", json!({ "name": "x" })).await.exit, 0);
}

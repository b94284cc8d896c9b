//! Results outlive connections and services.

use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use cofferdam::api::RunState;
use cofferdam::client::LogEvent;
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::World;
use serde_json::{Value, json};
use uuid::Uuid;

use super::stage::{Stage, refusal, report, submission};
use crate::common::{SOON, api, becomes, binary, get, guest, install, minted, nobody_lives, world};

/// A service with a run under way that has a secret, and whose API never answers.
async fn waiting() -> (Stage, Upstream) {
    let (world, upstream) = (world().await, Upstream::start().unwrap());
    install(&world, "caller", "probe-http", &api(&upstream.address()));
    let stage = Stage::of(world, "").await;
    let run = stage.submit("caller", get("never")).await.unwrap();
    stage.running(run).await;
    (stage, upstream)
}

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
    // Whether or not the disk had it when it was told.
    for config in ["", "[server.results]\nsync = \"all\"\n"] {
        let mut stage = Stage::bare(config).await;
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
        let audit = stage.world.audit().unwrap();
        stage.start().await;
        // One that lasts is written down before, and waits for the disk all the same.
        let waited = (told.iter()).filter(|(.., view)| report(view).audit.synced);
        match config.is_empty() {
            true => assert!(waited.count() < told.len(), "nobody was told early"),
            false => assert_eq!(waited.count(), told.len()),
        }
        for (client, key, submission, before) in told {
            assert_eq!(report(&before).exit, 0);
            let again = client.submit(&key, &submission).await.unwrap();
            assert!(again.replayed);
            assert_eq!(again.view.run, before.run);
            assert_eq!(
                again.view.report.unwrap().get(),
                before.report.unwrap().get()
            );
            let run = json!(before.run);
            let is_end = |line: &Value| line["event"] == "run_ended" && line["run"] == run;
            assert!(audit.iter().any(is_end), "{config}: {run} in the audit");
        }
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
    world.task("probe", &guest("probe"), "").unwrap();
    let mut stage = Stage::of(world, "").await;
    let submission = submission("caller", get("never"));
    let submitted = stage.client().submit("k", &submission).await.unwrap();
    let run = submitted.view.run;
    // One that has said something, and somebody has read it.
    let talk = json!({ "do": "talk", "every_ms": 20, "lines": 10_000 });
    let talker = stage.submit("probe", talk).await.unwrap();
    let mut reader = stage.client().log(talker, 0).await.unwrap();
    for _ in 0..3 {
        let event = reader.next().await.unwrap();
        assert!(matches!(event, LogEvent::Line(_)), "{event:?}");
    }
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
        .find(|line| line["event"] == "run_lost" && line["run"] == json!(run))
        .unwrap();
    assert_eq!((&lost["run"], &lost["swept"]), (&json!(run), &json!(true)));
    // Its lines died with the service: who reads on, and who begins anew, is told its end.
    // What was on its way before the kill still comes.
    while let Ok(event) = reader.next().await {
        assert!(matches!(event, LogEvent::Line(_)), "{event:?}");
    }
    for after in [0, 3] {
        let mut reader = stage.client().log(talker, after).await.unwrap();
        match reader.next().await.unwrap() {
            LogEvent::End(end) => assert_eq!(end.state, RunState::Lost),
            line => panic!("after {after}: {line:?}"),
        }
    }
    stage.ends_clean().await;
}

#[tokio::test]
async fn a_service_that_cannot_listen_leaves_no_log_in() {
    let (mut stage, _upstream) = waiting().await;
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

/// A store that cannot be used is no reason to leave authority alive.
#[tokio::test]
async fn what_was_left_is_swept_before_the_store_is_looked_at() {
    let (mut stage, _upstream) = waiting().await;
    let task = vec!["cofferdam-task-caller".to_owned()];
    let begun = Instant::now();
    let bao = stage.world.bao().unwrap();
    while !bao.living_policies().await.unwrap().contains(&task) {
        assert!(begun.elapsed() < SOON, "no token is minted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stage.kill();
    let bao = stage.world.bao().unwrap();
    let living = bao.living_policies().await.unwrap();
    assert!(living.contains(&task), "the kill left a token");
    let store = stage.world.path("state/results.db");
    std::fs::write(&store, vec![7; 64 << 10]).unwrap();
    std::fs::remove_file(stage.world.path("state/results.db-wal")).unwrap();
    let output = stage.world.command(&["serve"]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("results.db"), "{told}");
    nobody_lives(bao).await;
}

#[tokio::test]
async fn kept_results_that_cannot_be_read_are_no_empty_list() {
    let stage = Stage::bare("").await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        let run = stage.submit("hello", json!({ "name": "x" })).await.unwrap();
        stage.end_of(run).await;
        runs.push(run);
    }
    let list = String::from_utf8(stage.get("/v1/runs")).unwrap();
    assert!(list.contains(&runs[0].to_string()), "{list}");
    // One more, so that nothing is answered from what was read before.
    stage.run("hello", json!({ "name": "x" })).await;
    for file in ["results.db", "results.db-wal"] {
        let path = stage.world.path("state").join(file);
        let file = std::fs::File::options().write(true).open(path).unwrap();
        let size = file.metadata().unwrap().len();
        file.write_all_at(&vec![0xff; size.try_into().unwrap()], 0)
            .unwrap();
    }
    for path in ["/v1/runs".to_owned(), format!("/v1/runs/{}", runs[0])] {
        let answer = String::from_utf8(stage.get(&path)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{path}: {answer}");
        assert!(answer.contains("cannot be read now"), "{path}: {answer}");
    }
    stage.logs("the kept results").await;
}

/// A task whose results may be large.
async fn roomy(server: &str) -> Stage {
    let world = World::bare(binary()).unwrap();
    let limits = "[limits]\noutput = \"64MiB\"\nmemory = \"512MiB\"\ntimeout = \"60s\"\n";
    world.task("probe", &guest("probe"), limits).unwrap();
    Stage::of(world, server).await
}

/// Waits until a run is forgotten.
async fn forgotten(stage: &Stage, run: Uuid) {
    let begun = Instant::now();
    while stage.client().run(run, 0).await.is_ok() {
        assert!(begun.elapsed() < SOON, "it is kept");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(refusal(stage.client().run(run, 0).await).0, 404);
}

#[tokio::test]
async fn results_that_take_too_much_of_the_disk_are_forgotten_early_and_give_it_back() {
    let mut stage = roomy("[server.results]\ndisk = \"256MiB\"\n").await;
    let large = submission("probe", json!({ "do": "huge_output", "bytes": 60_000_000 }));
    let mut runs = Vec::new();
    for number in 0..6 {
        let taken = stage.client().submit(&number.to_string(), &large).await;
        let run = taken.unwrap().view.run;
        assert_eq!(report(&stage.end_of(run).await).exit, 0);
        runs.push(run);
    }
    // 268 MB have room for four of them.
    forgotten(&stage, runs[1]).await;
    for run in &runs[2..] {
        assert_eq!(report(&stage.end_of(*run).await).exit, 0);
    }
    // Keys go with them.
    let again = stage.client().submit("5", &large).await.unwrap();
    assert!(again.replayed);
    let again = stage.client().submit("0", &large).await.unwrap();
    assert!(!again.replayed);
    stage.end_of(again.view.run).await;
    forgotten(&stage, runs[2]).await;
    // And what the disk has in the end is what it may.
    let file = stage.world.path("state/results-large.db");
    let begun = Instant::now();
    while file.metadata().unwrap().len() > 320_000_000 {
        assert!(begun.elapsed() < SOON, "{:?}", file.metadata());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The next service counts the same.
    stage.stop().await;
    stage.start().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for run in &runs[3..] {
        assert_eq!(report(&stage.end_of(*run).await).exit, 0);
    }
}

#[tokio::test]
async fn what_was_forgotten_is_the_disks_again() {
    let stage = roomy("[server.results]\nkeep = \"1s\"\n").await;
    let input = json!({ "do": "huge_output", "bytes": 60_000_000 });
    let run = stage.submit("probe", input).await.unwrap();
    assert_eq!(report(&stage.end_of(run).await).exit, 0);
    let file = stage.world.path("state/results-large.db");
    let log = stage.world.path("state/results-large.db-wal");
    let size = || file.metadata().unwrap().len() + log.metadata().unwrap().len();
    assert!(size() > 60_000_000, "{}", size());
    forgotten(&stage, run).await;
    let begun = Instant::now();
    // An eighth, 16 MiB at least, stays for what comes next.
    while file.metadata().unwrap().len() > 20_000_000 {
        assert!(begun.elapsed() < SOON, "{}", size());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
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

//! Limits of callers, tasks and all together.

use std::time::{Duration, Instant};

use cofferdam::api::RunState;
use serde_json::json;

use super::stage::{Stage, refusal, submission};

fn sleeps(ms: u32) -> serde_json::Value {
    json!({ "do": "sleep", "ms": ms })
}

#[tokio::test]
async fn too_much_is_refused_at_once_and_says_when_to_come_back() {
    let stage = Stage::bare("[server.limits]\nruns = 2\nqueue = 3\n").await;
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(stage.submit("probe", sleeps(60_000)).await.unwrap());
    }
    let begun = Instant::now();
    let refused = stage
        .client()
        .submit("k", &submission("probe", sleeps(1)))
        .await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    let (status, kind, _) = refusal(refused);
    assert_eq!((status, kind.as_str()), (429, "too-many-requests"));
    let states = async || {
        let mut states = Vec::new();
        for run in &runs {
            states.push(stage.client().run(*run, 0).await.unwrap().state);
        }
        states
    };
    use RunState::{Queued, Running};
    stage.running(runs[1]).await;
    assert_eq!(states().await, [Running, Running, Queued, Queued, Queued]);
    for run in &runs {
        stage.client().cancel(*run).await.unwrap();
    }
    // The key of what was refused is free.
    let taken = stage
        .client()
        .submit("k", &submission("probe", sleeps(1)))
        .await;
    assert!(!taken.unwrap().replayed);
}

#[tokio::test]
async fn a_task_at_its_limit_does_not_hold_up_another() {
    let stage = Stage::bare("[server.limits]\nruns = 4\nruns_per_task = 1\n").await;
    let slow = stage.submit("probe", sleeps(60_000)).await.unwrap();
    let waits = stage.submit("probe", sleeps(1)).await.unwrap();
    let report = stage.run("hello", json!({ "name": "x" })).await;
    assert_eq!(report.exit, 0);
    let view = stage.client().run(waits, 0).await.unwrap();
    assert_eq!(view.state, RunState::Queued);
    stage.client().cancel(slow).await.unwrap();
    assert_eq!(super::stage::report(&stage.end_of(waits).await).exit, 0);
}

#[tokio::test]
async fn a_caller_that_submits_too_fast_is_slowed_down() {
    let stage = Stage::bare("[server.limits]\nsubmissions_per_second = 5\n").await;
    let mut refused = 0;
    for _ in 0..20 {
        let submitted = stage.submit("hello", json!({ "name": "x" })).await;
        if submitted.is_err() {
            let (status, _, detail) = refusal(submitted);
            assert_eq!(status, 429);
            assert!(detail.contains("in a second"), "{detail}");
            refused += 1;
        }
    }
    assert!(refused >= 5, "{refused} of 20 were refused");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    stage.submit("hello", json!({ "name": "x" })).await.unwrap();
}

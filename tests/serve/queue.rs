//! Limits of callers, tasks and all together.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use cofferdam::api::RunState;
use serde_json::{Value, json};

use super::stage::{Stage, refusal, submission};
use crate::common::becomes;

fn sleeps(ms: u32) -> Value {
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
    let answer = stage.post("k", &submission("probe", sleeps(1)));
    assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    let (_, problem) = answer.split_once("\r\n\r\n").unwrap();
    let problem: Value = serde_json::from_str(problem).unwrap();
    let told = ["phase", "blame", "exit", "retry_after"].map(|name| &problem[name]);
    assert_eq!(json!(told), json!(["admission", "task", 4, 1]));
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
    // As it stands on the wire.
    let hello = submission("hello", json!({ "name": "x" }));
    let mut answers = (0..20).map(|_| stage.post(&stage.key(), &hello));
    let answer = answers.find(|answer| answer.starts_with("HTTP/1.1 429 "));
    let answer = answer.expect("twenty at once are too fast again");
    assert!(answer.contains("in a second"), "{answer}");
    assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    stage.submit("hello", json!({ "name": "x" })).await.unwrap();
}

/// The head of a submission whose body has so many bytes, and no body.
fn announced(key: &str, length: usize) -> String {
    format!(
        "POST /v1/runs HTTP/1.1\r\nhost: x\r\nidempotency-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    )
}

#[tokio::test]
async fn bodies_take_room_before_they_are_read_and_give_it_back() {
    let limits =
        "[server.limits]\nmemory = \"1MiB\"\nmemory_per_caller = \"1MiB\"\nbody = \"700KiB\"\n";
    let stage = Stage::bare(limits).await;
    let mut slow = UnixStream::connect(stage.socket()).unwrap();
    let head = announced("slow", 700_000).replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
    slow.write_all(head.as_bytes()).unwrap();
    // The service asks for the body when it has taken the room for it.
    let mut asked = [0; 25];
    slow.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    // Nothing of the second was sent: it is refused for what it announces.
    let begun = Instant::now();
    let refused = String::from_utf8(stage.ask(&announced("more", 700_000))).unwrap();
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(refused.contains("more memory"), "{refused}");
    assert!(refused.contains("\r\nretry-after: 1\r\n"), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    // A small one has room beside it, and when the large one is gone so has another.
    assert_eq!(stage.run("hello", json!({ "name": "x" })).await.exit, 0);
    drop(slow);
    let large = json!({ "name": "x".repeat(600_000) });
    becomes("there is room again", async || {
        stage.submit("hello", large.clone()).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn who_may_run_nothing_is_not_read() {
    let rule = "[[server.allow]]\nusers = [0]\nmetrics = true\n";
    let stage = Stage::bare(rule).await;
    let begun = Instant::now();
    let answer = String::from_utf8(stage.ask(&announced("k", 7 << 20))).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let (_, problem) = answer.split_once("\r\n\r\n").unwrap();
    let problem: Value = serde_json::from_str(problem).unwrap();
    let told = ["phase", "blame", "exit"].map(|name| &problem[name]);
    assert_eq!(json!(told), json!(["admission", "operator", 3]));
    assert!(
        problem["hint"]
            .as_str()
            .unwrap()
            .contains("[[server.allow]]")
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn answers_take_room_until_they_are_read() {
    let limits =
        "[server.limits]\nmemory = \"1MiB\"\nmemory_per_caller = \"1MiB\"\nbody = \"1MiB\"\n";
    let stage = Stage::bare(limits).await;
    let large = json!({ "name": "x".repeat(900_000) });
    let run = stage.submit("hello", large).await.unwrap();
    stage.end_of(run).await;
    let path = format!("/v1/runs/{run}");
    // More than the kernel keeps for whoever does not read.
    let mut lazy = UnixStream::connect(stage.socket()).unwrap();
    let ask = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    lazy.write_all(ask.as_bytes()).unwrap();
    // Its head comes when its room is taken.
    let mut answer = vec![0; 12];
    lazy.read_exact(&mut answer).unwrap();
    assert_eq!(answer, b"HTTP/1.1 200");
    let status = || String::from_utf8(stage.get(&path)).unwrap()[9..12].to_owned();
    assert_eq!(status(), "429");
    // What is read is whole, and tells its length as ever.
    lazy.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = format!("content-length: {}", body.len());
    assert!(head.contains(&length), "{head}");
    assert!(body.contains(&"x".repeat(900_000)));
    crate::common::until("there is room again", || status() == "200");
}

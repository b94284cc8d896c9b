//! A client whose service stops, comes back, is gone, or has other rules meanwhile, and one
//! that is ended itself.

use std::process::{Child, Stdio};
use std::time::Duration;

use cofferdam::api::Record;
use rustix::process::Signal;
use serde_json::json;

use super::command::run;
use super::stage::Stage;
use crate::common::{canceller, ended, signal, until};

#[tokio::test]
async fn a_signal_cancels_the_run_and_a_kill_does_not() {
    let stage = Stage::bare("").await;
    let socket = stage.socket();
    let start = |key: &str| {
        let mut command = stage.world.command(&["run", "probe", "--dag-id", "tests"]);
        let input = json!({ "do": "sleep", "ms": 3_000 }).to_string();
        command.args(["--input", &input, "--idempotency-key", key, "--server"]);
        command
            .arg(&socket)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let started = |number: usize| {
        until("the run is under way", || {
            stage.world.begun().unwrap() == number
        });
    };
    let cancelled = start("one");
    started(1);
    signal(&cancelled, Signal::INT);
    let cancelled = ended(cancelled);
    assert_eq!(cancelled.code, 130, "{cancelled:?}");

    let killed = start("two");
    started(2);
    signal(&killed, Signal::KILL);
    assert_eq!(ended(killed).code, -1);
    // The same command finds it again, while it is under way.
    let again = ended(start("two"));
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(stage.world.begun().unwrap(), 2);
}

#[tokio::test]
async fn a_client_waits_for_a_service_that_is_restarted() {
    let mut stage = Stage::bare("").await;
    let socket = stage.socket();
    let mut command = stage
        .world
        .command(&["run", "probe", "--dag-id", "tests", "--server"]);
    let input = json!({ "do": "sleep", "ms": 60_000 }).to_string();
    command.arg(&socket).args(["--input", &input]);
    let client = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("the run is under way", || stage.world.begun().unwrap() > 0);
    stage.kill();
    tokio::time::sleep(Duration::from_millis(300)).await;
    stage.start().await;
    let client = ended(client);
    assert_eq!(client.code, 75, "{client:?}");
    assert!(client.stderr.contains("was lost"), "{client:?}");
}

/// A run that sleeps, in front of a client that hands it to this service; returns once it is
/// under way.
fn sleeping(stage: &Stage, globals: &[&str]) -> Child {
    let before = stage.world.begun().unwrap();
    let mut command = stage.world.command(globals);
    let input = json!({ "do": "sleep", "ms": 600_000 }).to_string();
    command
        .args(["run", "probe", "--dag-id", "tests", "--input", &input])
        .arg("--server")
        .arg(stage.socket())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let client = command.spawn().unwrap();
    until("the run is under way", || {
        stage.world.begun().unwrap() > before
    });
    client
}

#[tokio::test]
async fn what_a_stopped_service_cancelled_is_to_be_tried_again_and_says_why() {
    let mut stage = Stage::bare("[server]\ndrain = \"0s\"\n").await;
    let person = sleeping(&stage, &[]);
    let machine = sleeping(&stage, &["--format", "json", "--log-format", "json"]);
    stage.stop().await;
    // Where it ended, nobody can be asked any more.
    stage.start().await;

    let why = "the service cancelled the run: it was stopped";
    let person = ended(person);
    assert_eq!(person.code, 75, "{person:?}");
    assert!(person.stderr.contains(why), "{person:?}");
    assert!(person.stderr.contains("with a new key"), "{person:?}");
    let machine = ended(machine);
    assert_eq!(machine.code, 75, "{machine:?}");
    let report = machine.report().unwrap();
    assert_eq!(report["outcome"]["kind"], "cancelled", "{report}");
    assert_eq!(report["exit"], 130, "the run's own: {report}");
    let run = report["run"].as_str().unwrap();
    assert_eq!(canceller(&stage.world, run), "service");
    let is_told = machine.stderr.lines().any(|line| {
        let record = serde_json::from_str(line).unwrap();
        matches!(record, Record::Note { message, .. } if message.contains(why))
    });
    assert!(is_told, "{machine:?}");
}

#[tokio::test]
async fn who_loses_his_right_in_mid_run_is_told_so() {
    let rule = "[[server.allow]]\nusers = [0]\ntasks = [\"probe\", \"hello\"]\n";
    let stage = Stage::bare(rule).await;
    let client = sleeping(&stage, &[]);
    let before = stage.reload_with("", "\"probe\", ");
    let client = ended(client);
    // Nobody wants another try.
    assert_eq!(client.code, 130, "{client:?}");
    let why = "its operator took away your right to the task";
    assert!(client.stderr.contains(why), "{client:?}");

    // Who cancels a run himself knows why.
    stage.world.write("cofferdam.toml", &before).unwrap();
    stage.signal(Signal::HUP);
    until("the right is back", || {
        let done = run(
            &stage,
            "probe",
            &json!({ "do": "echo", "value": 1 }),
            &["--server", stage.socket().to_str().unwrap()],
        );
        done.code == 0
    });
    let client = sleeping(&stage, &[]);
    signal(&client, Signal::INT);
    let client = ended(client);
    assert_eq!(client.code, 130, "{client:?}");
    assert!(
        !client.stderr.contains("the service cancelled"),
        "{client:?}"
    );
}

#[tokio::test]
async fn who_loses_every_right_is_not_told_that_nothing_was_begun() {
    let rule = "[[server.allow]]\nusers = [0]\ntasks = [\"*\"]\n";
    let stage = Stage::bare(rule).await;
    let client = sleeping(&stage, &[]);
    stage.reload_with("[1]", "[0]");
    let client = ended(client);
    // His run is cancelled, but he may not ask after it: 3 would say that it was not begun.
    assert_eq!(client.code, 75, "{client:?}");
    assert!(client.stderr.contains("is not known"), "{client:?}");
    let input = json!({ "do": "echo", "value": 1 });
    let server = ["--server", stage.socket().to_str().unwrap()].map(str::to_owned);
    let refused = run(
        &stage,
        "probe",
        &input,
        &server.each_ref().map(String::as_str),
    );
    assert_eq!(refused.code, 3, "{refused:?}");
}

#[tokio::test]
async fn a_client_whose_service_is_gone_does_not_say_that_nothing_was_begun() {
    let mut stage = Stage::bare("").await;
    let input = json!({ "do": "sleep", "ms": 60_000 }).to_string();
    let start = |stage: &Stage| {
        let mut command = stage
            .world
            .command(&["run", "probe", "--dag-id", "tests", "--server"]);
        let command = command.arg(stage.socket()).args(["--input", &input]);
        let client = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        client.spawn().unwrap()
    };
    let client = start(&stage);
    until("the run is under way", || stage.world.begun().unwrap() > 0);
    stage.kill();
    let client = ended(client);
    assert_eq!(client.code, 75, "{client:?}");
    // Of the run, or of a submission whose answer the kill cut off.
    assert!(client.stderr.contains("is not known"), "{client:?}");
    assert!(client.stderr.contains("--idempotency-key"), "{client:?}");
    // Nobody was there to begin it: that is 4.
    let client = ended(start(&stage));
    assert_eq!(client.code, 4, "{client:?}");
}

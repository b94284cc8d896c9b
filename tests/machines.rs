//! What a program needs that runs `cofferdam run` for somebody: words that it can
//! read, limits that it can tighten, and an end that follows its own.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cofferdam::api::Record;
use cofferdam_devkit::process::{Guarded, dying_with_us};
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::{Finished, World};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::common::{
    SOON, api, binary, canceller, get, guest, install, nobody_lives, until, world,
};

fn run(world: &World, task: &str, input: &Value, arguments: &[&str]) -> Finished {
    let input = input.to_string();
    let mut command = world.command(&["--format", "json", "--log-format", "json"]);
    command.args(["run", task, "--dag-id", "tests", "--input", &input]);
    Finished::of(command.args(arguments).output().unwrap()).unwrap()
}

fn records(text: &str) -> Vec<Record> {
    let record =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|it| panic!("{it}: {line}"));
    text.lines().map(record).collect()
}

#[tokio::test]
async fn every_line_of_stderr_is_a_document() {
    let (world, upstream) = (world().await, Upstream::start().unwrap());
    install(&world, "caller", "probe-http", &api(&upstream.address()));
    world.task("probe", &guest("probe"), "").unwrap();
    let talk = json!({ "do": "talk", "every_ms": 1, "lines": 3 });
    let done = run(&world, "probe", &talk, &["--log-level", "trace"]);
    assert_eq!(done.code, 0, "{done:?}");
    let (mut lines, mut is_started) = (Vec::new(), false);
    for record in records(&done.stderr) {
        match record {
            Record::Started { task, terms, .. } => {
                assert_eq!(task, "probe");
                assert!(lines.is_empty() && terms.is_some_and(|it| it.grants.is_empty()));
                is_started = true;
            }
            Record::Line(line) => lines.push((line.sequence, line.message)),
            Record::Note { .. } => {}
        }
    }
    let spoken = (1..=3).map(|number| (number, format!("spoken line {number}")));
    assert_eq!(lines, spoken.collect::<Vec<_>>());
    assert!(is_started);

    // The host's own words say which run they are about.
    let done = run(
        &world,
        "caller",
        &get("status/200"),
        &["--log-level", "trace"],
    );
    assert_eq!(done.code, 0, "{done:?}");
    let id = done.report().unwrap()["run"].as_str().unwrap().to_owned();
    let is_about = |record: &Record| match record {
        Record::Note { context, .. } => context.as_ref().is_some_and(|it| it.contains(&id)),
        _ => false,
    };
    assert!(
        records(&done.stderr).iter().any(is_about),
        "{}",
        done.stderr
    );

    // Errors too, and those of the run that did not begin.
    let refused = run(&world, "probe", &json!({}), &["--limit", "timeout"]);
    assert_eq!(refused.code, 2);
    assert!(!records(&refused.stderr).is_empty());
}

#[test]
fn limits_only_tighten_and_stand_in_the_audit() {
    let world = World::bare(binary()).unwrap();
    world
        .task("probe", &guest("probe"), "[limits]\ntimeout = \"20s\"\n")
        .unwrap();
    let sleep = json!({ "do": "sleep", "ms": 15_000 });
    let begun = Instant::now();
    let tight = ["--limit", "timeout=300ms", "--limit", "host_calls=1000"];
    let done = run(&world, "probe", &sleep, &tight);
    assert_eq!(done.code, 5, "{done:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    let audit = world.audit().unwrap();
    let started = audit
        .iter()
        .find(|it| it["event"] == "run_started")
        .unwrap();
    let tightened = json!({ "timeout": "300ms", "host_calls": 1_000 });
    assert_eq!(started["tightened"], tightened, "{started}");

    for (limit, told) in [
        (
            "timeout=1m",
            "`limits.timeout` was asked to be 1m, but the grants allow 20s",
        ),
        ("memory=1GiB", "`limits.memory`"),
        ("timeout=soon", "`soon` is not a duration"),
        ("grace=1s", "unknown field `grace`"),
        ("timeout", "is not NAME=VALUE"),
    ] {
        let refused = run(
            &world,
            "probe",
            &json!({ "do": "context" }),
            &["--limit", limit],
        );
        assert_eq!(refused.code, 2, "{limit}: {refused:?}");
        assert!(refused.stdout.contains(told), "{limit}: {}", refused.stdout);
    }
}

#[tokio::test]
async fn a_run_ends_with_whoever_holds_its_lifeline() {
    let (world, upstream) = (world().await, Upstream::start().unwrap());
    install(&world, "caller", "probe-http", &api(&upstream.address()));
    let fifo = world.path("lifeline");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let input = json!({
        "do": "http", "grant": "api", "path": "status/200",
        "then": { "do": "sleep", "ms": 50_000 },
    });
    let mut command = dying_with_us("sh");
    let script = "exec \"$0\" --format json run caller --dag-id tests --input \"$1\" --lifeline 3 3<lifeline";
    command
        .args(["-c", script])
        .arg(binary())
        .arg(input.to_string())
        .current_dir(world.folder())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut running = Guarded::spawn(command).unwrap();
    let lifeline = OpenOptions::new().write(true).open(&fifo).unwrap();
    until("the secret is used", || !upstream.requests().is_empty());
    let living = world.bao().unwrap().living_policies().await.unwrap();
    assert!(!living.is_empty(), "its token lives");
    assert!(running.ended().unwrap().is_none());
    drop(lifeline);
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = running.ended().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < SOON, "it goes on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(status.code(), Some(130));
    let audit = world.audit().unwrap();
    let run = audit.last().unwrap()["run"].as_str().unwrap();
    assert_eq!(canceller(&world, run), "lifeline");
    nobody_lives(world.bao().unwrap()).await;

    // What is no pipe is told before anything is asked.
    let mut wrong = Command::new(binary());
    wrong.args(["run", "caller", "--dag-id", "tests", "--lifeline", "77"]);
    let wrong = wrong.current_dir(world.folder()).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}

#[tokio::test]
async fn a_stderr_that_nobody_reads_holds_up_no_end() {
    let world = World::bare(binary()).unwrap();
    world
        .task("probe", &guest("probe"), "[limits]\ntimeout = \"20s\"\n")
        .unwrap();
    let input = json!({ "do": "log_flood", "lines": 900 }).to_string();
    let mut command = dying_with_us(binary());
    command
        .args(["--format", "json", "run", "probe", "--dag-id", "tests"])
        .args(["--input", &input])
        .current_dir(world.folder())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    // Its pipe is ours, and full after 64 KiB.
    let running = Guarded::spawn(command).unwrap();
    until("the run is over, by the audit's word", || {
        let audit = world.audit().unwrap_or_default();
        audit.iter().any(|it| it["event"] == "run_ended")
    });
    drop(running);
}

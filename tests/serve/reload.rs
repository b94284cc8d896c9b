//! SIGHUP, SIGTERM, and what happens to runs meanwhile.

use std::time::Duration;

use cofferdam::api::CancelledBy;
use cofferdam::run::Outcome;
use cofferdam_devkit::upstream::{Recorded, Upstream};
use cofferdam_devkit::world::World;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::stage::{Stage, refusal, report, submission};
use crate::common::{TOKEN, alive, api, becomes, binary, canceller, guest};

#[tokio::test]
async fn a_run_keeps_the_grants_that_it_began_with() {
    let stage = Stage::bare("").await;
    let sleep = json!({ "do": "sleep", "ms": 1_500 });
    let old = stage.submit("probe", sleep.clone()).await.unwrap();
    stage.running(old).await;
    let limits = "[limits]\ntimeout = \"1s\"\n";
    stage.world.task("probe", &guest("probe"), limits).unwrap();
    stage.signal(Signal::HUP);
    stage.logs("were read again").await;
    let new = stage.submit("probe", sleep).await.unwrap();
    assert_eq!(report(&stage.end_of(old).await).outcome, Outcome::Done);
    let limit = "timeout".to_owned();
    let told = report(&stage.end_of(new).await);
    assert_eq!(told.outcome, Outcome::OutOfLimits { limit });
    let audit = stage.world.audit().unwrap();
    let grants: Vec<_> = (audit.iter())
        .filter(|line| line["event"] == "grants_in_use")
        .map(|line| line["grants"]["probe"].clone())
        .collect();
    assert_eq!(grants.len(), 2);
    assert_ne!(grants[0], grants[1]);
    for (run, source) in [(old, &grants[0]), (new, &grants[1])] {
        let begun = audit
            .iter()
            .find(|line| line["event"] == "run_started" && line["run"] == json!(run));
        assert_eq!(&begun.unwrap()["grants"], source);
    }
}

/// What it began with is the authority too: the token and the secret of before serve it to
/// its end, and die with it.
#[tokio::test]
async fn a_run_keeps_the_authority_that_it_began_with() {
    let upstream = Upstream::start().unwrap();
    let mut stage = Stage::busy(&upstream, "").await;
    let twice = json!({ "do": "http", "grant": "api", "path": "held", "times": 2 });
    let old = stage.submit("caller", twice.clone()).await.unwrap();
    becomes("the API is asked", async || upstream.requests().len() == 1).await;
    let less = api(&upstream.address()).replace("GET **", "GET status/*");
    let guest = guest("probe-http");
    stage.world.task("caller", &guest, &less).unwrap();
    stage.signal(Signal::HUP);
    stage.logs("were read again").await;
    let bao = stage.world.bao().unwrap();
    assert_eq!(alive(bao, "caller").await, 1, "the old run's");
    upstream.release();
    let told = report(&stage.end_of(old).await);
    assert_eq!(told.exit, 0, "{told:?}");
    assert!(told.denials.is_empty() && told.revocation.unwrap().complete);
    let asked = upstream.requests();
    let bearer = format!("Bearer {TOKEN}");
    let with = |it: &&Recorded| it.header("authorization") == Some(bearer.as_bytes());
    assert_eq!(asked.iter().filter(with).count(), 2);
    // A new one has the new grants, and so nothing of this.
    let told = stage.run("caller", twice).await;
    assert!(!told.denials.is_empty(), "{told:?}");
    assert_eq!(upstream.requests().len(), 2);
    stage.ends_clean().await;
}

/// Has the service read everything again, and waits until it has.
async fn reloaded(stage: &Stage) {
    let told = || stage.log().matches("were read again").count();
    let before = told();
    stage.signal(Signal::HUP);
    becomes("all is read again", async || told() > before).await;
}

#[tokio::test]
async fn a_component_is_compiled_once_for_as_long_as_somebody_has_it() {
    let world = World::bare(binary()).unwrap().cold();
    let install = |world: &World, task: &str, component: &str| {
        world.task(task, &guest(component), "").unwrap();
    };
    install(&world, "work", "probe");
    install(&world, "hello", "hello");
    let stage = Stage::of(world, "").await;
    // What was compiled is in the service's memory and nowhere else: not even root writes into
    // a folder that is gone.
    std::fs::remove_dir_all(stage.world.path("cache")).unwrap();
    let compiled = |component: &str| {
        let file = format!("{component}.wasm");
        let log = stage.log();
        let lines = log.lines().filter(|line| line.contains(&file));
        lines
            .filter(|line| line.contains("compiling a component"))
            .count()
    };
    let numbers = || ["probe", "hello", "second-try"].map(compiled);
    assert_eq!(numbers(), [1, 1, 0]);
    // The same bytes under a new name are the same component.
    install(&stage.world, "again", "probe");
    for _ in 0..2 {
        reloaded(&stage).await;
        assert_eq!(numbers(), [1, 1, 0]);
    }
    std::fs::remove_file(stage.world.path("grants/again.toml")).unwrap();

    // No task has it any more, but a run has.
    let sleep = json!({ "do": "sleep", "ms": 600_000 });
    let run = stage.submit("work", sleep).await.unwrap();
    stage.running(run).await;
    install(&stage.world, "work", "second-try");
    reloaded(&stage).await;
    install(&stage.world, "work", "probe");
    reloaded(&stage).await;
    assert_eq!(numbers(), [1, 1, 1]);

    // Nobody has it any more: its memory is given back, so it is compiled anew. This is the
    // control too: nothing else knew it.
    stage.client().cancel(run).await.unwrap();
    assert_eq!(report(&stage.end_of(run).await).exit, 130);
    becomes("it is forgotten", async || {
        install(&stage.world, "work", "second-try");
        reloaded(&stage).await;
        install(&stage.world, "work", "probe");
        reloaded(&stage).await;
        compiled("probe") == 2
    })
    .await;
    assert!(!stage.world.path("cache").exists());
    assert_eq!(compiled("hello"), 1, "a task has had it all the time");
    let echo = json!({ "do": "echo", "value": 1 });
    assert_eq!(stage.run("work", echo).await.exit, 0);
}

#[tokio::test]
async fn one_bad_file_keeps_all_as_it_was_and_says_so() {
    let stage = Stage::bare("").await;
    let run = async || stage.run("hello", json!({ "name": "x" })).await.exit;
    // A good change and a bad one together.
    let (hello, probe) = ("grants/hello.toml", "grants/probe.toml");
    let good = std::fs::read_to_string(stage.world.path(hello)).unwrap();
    stage
        .world
        .write(hello, &good.replace("tests", "others"))
        .unwrap();
    stage
        .world
        .write(probe, "task = \"probe\"\nnonsense = 1\n")
        .unwrap();
    stage.signal(Signal::HUP);
    stage.logs("stay as they were").await;
    stage.logs("grants/probe.toml:2:1: `nonsense`").await;
    assert_eq!(run().await, 0, "the old grants admit the tests' DAG");
    std::fs::remove_file(stage.world.path(probe)).unwrap();
    stage.signal(Signal::HUP);
    stage.logs("were read again").await;
    assert_eq!(run().await, 3, "the new ones do not");
    let (status, ..) = refusal(stage.submit("probe", json!({ "do": "trap" })).await);
    assert_eq!(status, 404, "a task without grants is none");

    // What takes a restart is refused, and so is a configuration that is wrong.
    let file = std::fs::read_to_string(stage.world.path("cofferdam.toml")).unwrap();
    for (change, told) in [
        ("[engine]\ninstances = 3\n", "`[engine]` has changed"),
        ("[server]\ndrain = \"soon\"\n", "`server.drain`"),
    ] {
        stage
            .world
            .write("cofferdam.toml", &format!("{file}{change}"))
            .unwrap();
        stage.signal(Signal::HUP);
        stage.logs(told).await;
    }
    stage
        .world
        .write(
            "cofferdam.toml",
            &format!("{file}[[server.allow]]\nusers = [54321]\ntasks = [\"*\"]\n"),
        )
        .unwrap();
    stage.signal(Signal::HUP);
    becomes("we are allowed no more", async || {
        stage.client().tasks().await.is_err()
    })
    .await;
    let (status, kind, _) = refusal(stage.client().tasks().await);
    assert_eq!((status, kind.as_str()), (403, "forbidden"));
}

#[tokio::test]
async fn one_that_cannot_be_used_is_no_reason_not_to_serve_the_others() {
    let world = World::bare(binary()).unwrap();
    world.task("hello", &guest("hello"), "").unwrap();
    world.task("probe", &guest("probe"), "").unwrap();
    world
        .write("grants/broken.toml", "task = \"broken\"\n")
        .unwrap();
    let text = std::fs::read_to_string(world.path("grants/probe.toml")).unwrap();
    // Another digest than the component's.
    let at = text.find("sha256:").unwrap() + "sha256:".len();
    let other = format!("{}0000{}", &text[..at], &text[at + 4..]);
    world.write("grants/probe.toml", &other).unwrap();
    let stage = Stage::of(world, "").await;
    stage.logs("grants/broken.toml").await;
    let tasks = stage.client().tasks().await.unwrap().tasks;
    let unusable: Vec<_> = (tasks.iter())
        .filter(|task| task.unusable.is_some())
        .map(|task| task.name.as_str())
        .collect();
    assert_eq!(unusable, ["broken", "probe"]);
    assert_eq!(stage.run("hello", json!({ "name": "x" })).await.exit, 0);
    let (status, kind, _) = refusal(stage.submit("broken", json!({})).await);
    assert_eq!((status, kind.as_str()), (503, "unavailable"));
}

#[tokio::test]
async fn sigterm_lets_runs_end_and_takes_no_more() {
    let mut stage = Stage::bare("[server]\ndrain = \"20s\"\n").await;
    let run = stage.submit("probe", json!({ "do": "sleep", "ms": 1_000 }));
    let run = run.await.unwrap();
    stage.running(run).await;
    stage.signal(Signal::TERM);
    stage.logs("takes no more runs").await;
    let refused = stage
        .client()
        .submit("k", &submission("hello", json!({})))
        .await;
    let (status, kind, _) = refusal(refused);
    assert_eq!((status, kind.as_str()), (503, "unavailable"));
    assert!(!stage.client().ready().await.unwrap().ready);
    assert_eq!(report(&stage.end_of(run).await).exit, 0);
    stage.ends_well(Duration::from_secs(10)).await;
    assert!(!stage.socket().exists());
}

#[tokio::test]
async fn who_is_shut_out_is_out_with_what_was_under_way_and_waiting() {
    let rule = "[server.limits]\nruns = 1\n\n[[server.allow]]\nusers = [0]\ntasks = [\"probe\", \"hello\"]\n";
    let stage = Stage::bare(rule).await;
    let sleep = json!({ "do": "sleep", "ms": 600_000 });
    let running = stage.submit("probe", sleep.clone()).await.unwrap();
    stage.running(running).await;
    let waiting = stage.submit("probe", sleep).await.unwrap();
    let allowed = stage.submit("hello", json!({ "name": "x" })).await.unwrap();
    stage.reload_with("", "\"probe\", ");
    stage.logs("are in effect").await;
    for run in [running, waiting] {
        let view = stage.end_of(run).await;
        assert_eq!(view.cancelled_by, Some(CancelledBy::Access));
        assert_eq!(canceller(&stage.world, &run.to_string()), "access");
        assert_eq!(report(&view).exit, 130);
    }
    assert_eq!(report(&stage.end_of(allowed).await).exit, 0);
    assert_eq!(canceller(&stage.world, &allowed.to_string()), Value::Null);
}

#[tokio::test]
async fn the_time_to_drain_can_be_changed() {
    let mut stage = Stage::bare("[server]\ndrain = \"1h\"\n").await;
    let run = stage.submit("probe", json!({ "do": "sleep", "ms": 60_000 }));
    let run = run.await.unwrap();
    stage.running(run).await;
    stage.reload_with("\"1s\"", "\"1h\"");
    stage.logs("are in effect").await;
    stage.signal(Signal::TERM);
    stage.ends_well(Duration::from_secs(15)).await;
    stage.start().await;
    assert_eq!(report(&stage.end_of(run).await).exit, 130);
}

#[tokio::test]
async fn a_second_sigterm_does_not_wait() {
    let mut stage = Stage::bare("[server]\ndrain = \"1h\"\n").await;
    let run = stage.submit("probe", json!({ "do": "sleep", "ms": 60_000 }));
    let run = run.await.unwrap();
    stage.running(run).await;
    stage.signal(Signal::TERM);
    stage.logs("takes no more runs").await;
    stage.signal(Signal::TERM);
    stage.ends_well(Duration::from_secs(10)).await;
    stage.start().await;
    assert_eq!(report(&stage.end_of(run).await).exit, 130);
}

//! Hostile tasks beside a good one in one process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam::capability::{LogLine, LogSink};
use cofferdam::config::HostConfig;
use cofferdam::engine::Progress;
use cofferdam::identity::{Assurance, IdentityParts};
use cofferdam::run::{Cancellation, RunReport, RunRequest, Runner};
use cofferdam_devkit::world::{DAG, World};
use serde_json::{Value, json};

use crate::common::{binary, guest};

struct Nobody;

impl LogSink for Nobody {
    fn line(&self, _: LogLine) {}
}

impl Progress for Nobody {
    fn compiling(&self, _: &std::path::Path) {}
    fn compiled(&self) {}
}

fn request(task: &str, input: &Value) -> RunRequest {
    let identity = IdentityParts {
        bundle: String::new(),
        dag_id: DAG.to_owned(),
        task_id: task.to_owned(),
        run_id: "r".to_owned(),
        try_number: 1,
        map_index: -1,
        logical_date: None,
        assurance: Assurance::Claimed,
    };
    RunRequest::new(
        task.parse().unwrap(),
        identity.check().unwrap(),
        input.to_string(),
    )
    .unwrap()
}

async fn run(runner: &Runner, task: &str, input: Value) -> RunReport {
    let request = request(task, &input);
    runner
        .run(
            request,
            Arc::new(Nobody),
            Arc::new(Nobody),
            Cancellation::default(),
        )
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_task_does_not_notice_the_bad_ones() {
    let world = World::bare(binary()).unwrap();
    let limits =
        "[limits]\ntimeout = \"3s\"\nmemory = \"64MiB\"\nlog = \"10KiB\"\nhost_calls = 100000000\n";
    world.task("bad", &guest("probe"), limits).unwrap();
    world.task("good", &guest("probe"), "").unwrap();
    let config = HostConfig::load(&world.path("cofferdam.toml")).unwrap();
    let runner = Runner::new(config).unwrap();
    assert_eq!(run(&runner, "good", json!({"do": "env"})).await.exit, 0);

    let mut bad = Vec::new();
    for input in [
        json!({"do": "spin"}),
        json!({"do": "spin"}),
        json!({"do": "spin"}),
        json!({"do": "memory"}),
        json!({"do": "memory"}),
        json!({"do": "log_flood"}),
        json!({"do": "host_call_loop"}),
        json!({"do": "deep_recursion"}),
        json!({"do": "huge_output", "bytes": 30_000_000}),
    ] {
        let runner = runner.clone();
        bad.push(tokio::spawn(
            async move { run(&runner, "bad", input).await },
        ));
    }
    // Three loops, a flood and a storm of calls want both processors for 3 s. All
    // end as they should, and the good one gets its turns.
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < Duration::from_secs(2) {
        let one = Instant::now();
        assert_eq!(run(&runner, "good", json!({"do": "context"})).await.exit, 0);
        assert!(
            one.elapsed() < Duration::from_secs(1),
            "{:?}",
            one.elapsed()
        );
        rounds += 1;
    }
    assert!(rounds >= 3, "{rounds} rounds in 2 s");
    for bad in bad {
        let report = bad.await.unwrap();
        assert!([5, 6].contains(&report.exit), "{report:?}");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
}

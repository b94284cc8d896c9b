//! A panic in a host function: the guest is gone, the line goes on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cofferdam::capability::{LogLine, LogSink};
use cofferdam::config::HostConfig;
use cofferdam::engine::Progress;
use cofferdam::identity::{Assurance, IdentityParts};
use cofferdam::run::{Outcome, RunReport, RunRequest, Runner};
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::{DAG, World};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::common::{api, get, install, journal, nobody_lives, world};

/// Panics in the middle of the host function that a guest's log line calls.
#[derive(Default)]
struct Panics(AtomicUsize);

impl LogSink for Panics {
    fn line(&self, _: LogLine) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("planted by a test");
    }
}

struct Silent;

impl LogSink for Silent {
    fn line(&self, _: LogLine) {}
}

impl Progress for Silent {
    fn compiling(&self, _: &Path) {}
    fn compiled(&self) {}
}

async fn run(runner: &Runner, input: &Value, log: Arc<dyn LogSink>) -> RunReport {
    let identity = IdentityParts {
        bundle: String::new(),
        dag_id: DAG.to_owned(),
        task_id: "caller".to_owned(),
        run_id: "r".to_owned(),
        try_number: 1,
        map_index: -1,
        logical_date: None,
        assurance: Assurance::Claimed,
    };
    let request = RunRequest::new(
        "caller".parse().unwrap(),
        identity.check().unwrap(),
        input.to_string(),
    );
    let cancel = CancellationToken::new();
    let progress = Arc::new(Silent);
    runner.run(request.unwrap(), log, progress, cancel).await
}

fn runner(world: &World) -> Runner {
    Runner::new(HostConfig::load(&world.path("cofferdam.toml")).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_host_function_still_revokes_and_seals() {
    let world = world().await;
    let upstream = Upstream::start().unwrap();
    install(&world, "caller", "probe-http", &api(&upstream.address()));
    let runner = runner(&world);
    let log = json!({"do": "log", "level": "info", "text": "x"});
    let mut input = get("status/200");
    input["then"] = log.clone();

    let sink = Arc::new(Panics::default());
    let report = run(&runner, &input, Arc::clone(&sink) as Arc<dyn LogSink>).await;
    assert_eq!(sink.0.load(Ordering::Relaxed), 1, "it panicked");
    let Outcome::Refused { message, .. } = &report.outcome else {
        panic!("{report:?}")
    };
    assert!(message.contains("bug in cofferdam"), "{message}");
    assert!(!message.contains("planted"), "{message}");
    assert_eq!(report.exit, 6);
    // The credential was in use; it is gone before the report is there.
    assert_eq!(upstream.requests().len(), 1);
    assert!(report.revocation.as_ref().is_some_and(|it| it.complete));
    assert!(report.audit.head.is_some() && report.audit.synced);
    let bao = world.bao().unwrap();
    assert_eq!(bao.living_policies().await.unwrap(), [["cofferdam-host"]]);

    // The process goes on.
    let report = run(&runner, &input, Arc::new(Silent)).await;
    assert_eq!(report.exit, 0, "{report:?}");
    let report = runner.close(report).await;
    assert!(report.revocation.is_some_and(|it| it.complete));
    nobody_lives(bao).await;
    assert!(journal(&world).is_empty());
    let head = report.audit.head.unwrap().to_string();
    let file = report.audit.file.display().to_string();
    let verify = world.command(&["audit", "verify", &file, "--head", &head]);
    assert!({ verify }.output().unwrap().status.success());
}

//! The host within the test: many attempts in one process.

use std::path::Path;
use std::sync::Arc;

use cofferdam::capability::{LogLine, LogSink};
use cofferdam::config::HostConfig;
use cofferdam::engine::Progress;
use cofferdam::identity::{Assurance, IdentityParts};
use cofferdam::run::{Cancellation, RunReport, RunRequest, Runner};
use cofferdam_devkit::world::{DAG, World};
use serde_json::Value;

/// Nobody listens.
pub(crate) struct Nobody;

impl LogSink for Nobody {
    fn line(&self, _: LogLine) {}
}

impl Progress for Nobody {
    fn compiling(&self, _: &Path) {}
    fn compiled(&self) {}
}

/// A runner on the installation of this world.
pub(crate) fn runner(world: &World) -> Runner {
    Runner::new(HostConfig::load(&world.path("cofferdam.toml")).unwrap()).unwrap()
}

/// A first attempt of the tests' DAG that nobody vouched for.
pub(crate) fn request(task: &str, input: &Value) -> RunRequest {
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
    let (task, identity) = (task.parse().unwrap(), identity.check().unwrap());
    RunRequest::new(task, identity, input.to_string()).unwrap()
}

/// One attempt, from the request to the report.
pub(crate) async fn attempt(runner: &Runner, task: &str, input: &Value) -> RunReport {
    attempt_heard(runner, task, input, Arc::new(Nobody)).await
}

/// One whose log goes there.
pub(crate) async fn attempt_heard(
    runner: &Runner,
    task: &str,
    input: &Value,
    log: Arc<dyn LogSink>,
) -> RunReport {
    let request = request(task, input);
    let cancel = Cancellation::default();
    runner.run(request, log, Arc::new(Nobody), cancel).await
}

/// The lines of the audit that belong to a run.
pub(crate) fn audit_of(report: &RunReport) -> Vec<Value> {
    let text = std::fs::read_to_string(&report.audit.file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["run"] == report.run.as_str())
        .collect()
}

//! `cargo xtask demo --airflow`: the stage with a real Airflow on it, kept standing.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam_devkit::airflow::{Airflow, Options};
use cofferdam_devkit::canary::Canary;
use cofferdam_devkit::tools;
use serde_json::{Value, json};

use crate::chores::build_binaries;
use crate::console::{heading, quote, say};
use crate::preflight::{Need, check};
use crate::stage::{SOCKET, Service, Stage, User, is_root};

/// The example that is run.
const DAG: &str = "billing";
/// The longest that it may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Brings it all up, runs one DAG, and waits for Ctrl-C.
pub(crate) async fn run() -> Result<()> {
    check(&[
        Need::Compiler,
        Need::Bao,
        Need::Postgres,
        Need::WasmTarget,
        Need::Airflow,
    ])?;
    let mut standing = Standing::default();
    // Asked for from the start, and once: whoever is tired of waiting leaves nothing behind.
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let up = tokio::select! {
        biased;
        interrupted = &mut interrupted => {
            interrupted.context("cannot wait for Ctrl-C")?;
            say("\ninterrupted before Airflow was up");
            None
        }
        up = bring_up(&mut standing) => Some(up),
    };
    if let Some(Ok(())) = up {
        interrupted.await.context("cannot wait for Ctrl-C")?;
    }
    say("\nstopping everything");
    let stopped = standing.stop();
    up.unwrap_or(Ok(())).and(stopped)
}

/// What runs, in the order in which it was started.
#[derive(Default)]
struct Standing {
    stage: Option<Stage>,
    service: Option<Service>,
    airflow: Option<Airflow>,
}

impl Standing {
    fn stop(self) -> Result<()> {
        drop(self.airflow);
        let ended = self.service.map_or(Ok(()), Service::end);
        if let Some(stage) = self.stage {
            let folder = stage.folder.clone();
            stage.stop();
            say(format_args!(
                "All is stopped. What it left lies in {}.",
                folder.display()
            ));
        }
        ended
    }
}

/// Each thing as it stands goes into `standing`; ends when the DAG has run.
async fn bring_up(standing: &mut Standing) -> Result<()> {
    heading("Building cofferdam (some minutes on a fresh machine)");
    build_binaries()?;
    let env = tools::wasm_target()?;
    heading("A Vault, an API that wants a token, the example tasks and their grants");
    let stage = Stage::start("airflow", &Canary::random(), env).await?;
    let stage = standing.stage.insert(stage);
    for template in stage.examples() {
        say(format_args!("building {}", Stage::source(template)));
        stage.build(template)?.success()?;
    }
    stage.grant()?;
    stage.write_policies()?.success()?;
    stage.write_database_role().await?;
    stage.hand_over()?;
    heading("The host becomes a service");
    standing.service = Some(stage.serve()?);
    say(match is_root() {
        true => {
            "It has a user of its own. Airflow will ask it over a socket, and holds no credential."
        }
        false => {
            "Airflow will ask it over a socket. Without root both are the same user here, who could \
             read the service's log-in: on a real machine they are two."
        }
    });

    heading("A real Airflow (its first installation takes about a minute)");
    let airflow = Airflow::start(options(stage)).await?;
    let airflow = standing.airflow.insert(airflow);
    give_dags(&airflow.dags())?;
    airflow.api().knows(&[DAG], LIMIT).await?;
    let told = play(airflow).await?;
    show_audit(stage, &told)?;
    introduce(airflow);
    Ok(())
}

fn options(stage: &Stage) -> Options {
    let socket = stage.folder.join(SOCKET);
    let connection = json!({ "conn_type": "cofferdam", "host": socket });
    Options {
        home: stage.folder.join("home"),
        user: is_root().then(|| User::Caller.id()),
        environment: vec![(
            "AIRFLOW_CONN_COFFERDAM_DEFAULT".to_owned(),
            connection.to_string(),
        )],
        parallelism: 4,
    }
}

/// Copies the provider's example DAGs where Airflow looks for DAGs.
fn give_dags(folder: &Path) -> Result<()> {
    let examples =
        tools::workspace().join("airflow-provider/airflow_provider_cofferdam/example_dags");
    for file in fs::read_dir(examples).context("the provider has no example DAGs")? {
        let file = file?.path();
        let Some(name) = file.file_name().filter(|_| is_python(&file)) else {
            continue;
        };
        let copy = folder.join(name);
        fs::copy(&file, &copy).context("cannot copy a DAG")?;
        fs::set_permissions(&copy, Permissions::from_mode(0o644))?;
    }
    Ok(())
}

fn is_python(file: &Path) -> bool {
    file.extension().is_some_and(|it| it == "py")
}

/// Triggers the DAG and shows its log; what the task left for the next one.
async fn play(airflow: &Airflow) -> Result<Value> {
    heading(format_args!("The DAG `{DAG}` runs"));
    let api = airflow.api();
    let run = api.trigger(DAG, json!({})).await?;
    let state = api.ended(DAG, &run, LIMIT).await?;
    let mut told = Value::Null;
    for step in api.instances(DAG, &run).await? {
        let task = step.field("task_id").as_str().unwrap_or_default();
        say(format_args!(
            "the log of its task `{task}`, as Airflow shows it:"
        ));
        let log = api.log(DAG, &run, task, step.map_index(), 1).await?;
        for line in &log {
            let part = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
            // What folds Airflow's page says nothing here.
            if !part("level").is_empty() && !part("event").starts_with("::") {
                quote(&format!("{:7} {}", part("level"), part("event")));
            }
        }
        let left = api.xcom(DAG, &run, task, step.map_index(), "cofferdam");
        // Only a task of ours leaves something under that key.
        let left = left.await?;
        if run_in(&left).is_some() {
            told = left;
        }
    }
    ensure!(state == "success", "the DAG ended as `{state}`");
    ensure!(run_in(&told).is_some(), "the task left no run: {told}");
    Ok(told)
}

/// Our id of the run, as the task left it.
fn run_in(told: &Value) -> Option<&str> {
    told.get("run").and_then(Value::as_str)
}

fn show_audit(stage: &Stage, told: &Value) -> Result<()> {
    heading("What a security reviewer sees of it");
    let run = run_in(told).unwrap_or_default();
    let shown = stage.cofferdam(&["audit", "show", run])?.success()?;
    say(format_args!("$ cofferdam audit show {run}"));
    quote(&shown.stdout);
    Ok(())
}

fn introduce(airflow: &Airflow) {
    let (user, password) = airflow.log_in();
    heading("Airflow is up; Ctrl-C stops everything");
    say(format_args!("address   {}", airflow.address()));
    say(format_args!("log-in    {user} / {password}"));
    say(format_args!("DAG files {}", airflow.dags().display()));
}

//! What an operator sees of the service from outside: numbers and traces.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cofferdam::telemetry::FLUSH;
use cofferdam_devkit::collector::{Collector, Mood};
use cofferdam_devkit::openbao::OpenBao;
use cofferdam_devkit::process::dying_with_us;
use cofferdam_devkit::proxy::Proxy;
use cofferdam_devkit::world::World;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::stage::{Stage, refusal, report};
use crate::common::{becomes, binary, guest};
use crate::observe::traces::{nothing_secret, only, phases};
use crate::observe::world::{HEADER, OWN, Watched, asked, trace};

const READER: &str = "\n[[server.allow]]\nusers = [0]\ntasks = [\"*\"]\nmetrics = true\n";

#[tokio::test]
async fn the_numbers_are_those_of_the_moment() {
    let watched = Watched::start().await;
    let limits = format!("[server.limits]\nruns = 1\nqueue = 1\n{READER}");
    let from = watched.lines();
    let (upstream, _postgres) = (watched.upstream, watched.postgres);
    let mut stage = Stage::of(watched.world, &limits).await;
    let bao = stage.world.bao().unwrap();
    let gauges = |names: [&str; 4]| names.map(|name| stage.number(&format!("cofferdam_{name}")));
    let [alive, load] = [
        [
            "vault_live_tokens",
            "vault_live_leases",
            "vault_pending_revocations",
            "ready",
        ],
        [
            "runs_under_way",
            "runs_waiting",
            "results_kept",
            "connections",
        ],
    ];
    let are = |numbers: [u32; 4]| numbers.map(|number| Some(f64::from(number)));
    assert_eq!(gauges(alive), are([0, 0, 0, 1]));
    becomes("we are alone", async || gauges(load) == are([0, 0, 0, 1])).await;

    // One that holds a token and a lease, one that waits, and one too many.
    let held = stage.submit("everything", Watched::held());
    let held = held.await.unwrap();
    becomes("the API is asked", async || upstream.requests().len() == 1).await;
    let waits = stage.submit("everything", json!({ "steps": [] }));
    let waits = waits.await.unwrap();
    let (status, ..) = refusal(stage.submit("everything", json!({})).await);
    assert_eq!(status, 429);
    assert_eq!(gauges(alive), are([1, 1, 0, 1]));
    becomes("we are alone", async || gauges(load) == are([1, 1, 0, 1])).await;
    let hit = "cofferdam_limits_hit_total{limit=\"server.limits.queue\"}";
    assert_eq!(stage.number(hit), Some(1.0));

    upstream.release();
    for run in [held, waits] {
        let told = report(&stage.end_of(run).await);
        assert_eq!(told.exit, 0, "{told:?}");
    }
    assert_eq!(gauges(alive), are([0, 0, 0, 1]));
    becomes("we are alone", async || gauges(load) == are([0, 0, 2, 1])).await;

    // What was asked of Vault is what Vault says, to the last request.
    let asked = asked(bao, from);
    for (operation, path) in [
        ("log_in", "auth/approle/login"),
        ("mint", "auth/token/create/"),
        ("read", "secret/data/api"),
        ("key", "transit/sign/signer"),
        ("lease", "database/creds/reader"),
        ("revoke_lease", "sys/leases/revoke"),
        ("revoke", "auth/token/revoke-accessor"),
    ] {
        let labels = format!("{{operation=\"{operation}\",outcome=\"ok\"}}");
        let counted = stage.number(&format!("cofferdam_vault_requests_total{labels}"));
        let asked = asked.iter().filter(|(asked, _)| asked.starts_with(path));
        let asked = u32::try_from(asked.count()).unwrap();
        assert!(asked > 0, "{operation}");
        assert_eq!(counted, Some(f64::from(asked)), "{operation}");
        let took = stage.number(&format!("cofferdam_vault_requests_seconds_total{labels}"));
        assert!(took.unwrap() > 0.0, "{operation}");
    }
    let log_ins = "cofferdam_vault_log_ins_total{outcome=\"made\"}";
    assert_eq!(stage.number(log_ins), Some(1.0));
    stage.ends_clean().await;
}

/// The server's own ids of its requests, with the header that came with each.
fn ids(bao: &OpenBao) -> BTreeMap<String, Option<String>> {
    let text = std::fs::read_to_string(bao.audit_file()).unwrap();
    let lines = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line
    });
    lines
        .filter(|line| line["type"] == "request")
        .filter_map(|line| {
            let request = &line["request"];
            let id = request["id"].as_str()?.to_owned();
            let header = request["headers"][HEADER][0].as_str();
            Some((id, header.map(str::to_owned)))
        })
        .collect()
}

#[tokio::test]
async fn runs_beside_each_other_are_told_apart_by_vaults_audit_and_by_our_log() {
    let watched = Watched::start().await;
    let from = watched.lines();
    let (upstream, _postgres) = (watched.upstream, watched.postgres);
    let mut command = dying_with_us(binary());
    command.args(["--log-level", "debug", "serve"]);
    let socket = "cofferdam.sock";
    let mut stage = Stage::of_command(watched.world, "", socket, command).await;
    let mut runs = Vec::new();
    for _ in 0..2 {
        let run = stage.submit("everything", Watched::held()).await;
        runs.push(run.unwrap());
    }
    becomes("both are under way", async || {
        upstream.requests().len() == 2
    })
    .await;
    upstream.release();
    for run in &runs {
        let told = report(&stage.end_of(*run).await);
        assert_eq!(told.exit, 0, "{told:?}");
    }
    stage.ends_clean().await;
    let mut runs: Vec<_> = runs.iter().map(ToString::to_string).collect();
    runs.sort();

    let bao = stage.world.bao().unwrap();
    let (own, of_runs): (Vec<_>, Vec<_>) = asked(bao, from)
        .into_iter()
        .partition(|(path, _)| OWN.contains(&path.as_str()));
    assert!(own.len() >= 2, "{own:?}");
    assert!(own.iter().all(|(_, header)| header.is_none()), "{own:?}");
    for (path, header) in &of_runs {
        let header = header.as_ref().unwrap_or_else(|| panic!("{path}"));
        assert!(runs.contains(header), "{path}: {header}");
    }
    // What each needs for itself, each asked for.
    for start in [
        "auth/token/create/cofferdam",
        "transit/sign/signer",
        "database/creds/reader",
        "sys/leases/revoke",
        "auth/token/revoke-accessor",
    ] {
        let asked = of_runs.iter().filter(|(path, _)| path.starts_with(start));
        let mut by: Vec<_> = asked.filter_map(|(_, header)| header.clone()).collect();
        by.sort();
        assert_eq!(by, runs, "{start}");
    }

    // A line of our log is of the run of which Vault's audit has the same request.
    let (log, ids) = (stage.log(), ids(bao));
    let mut compared = 0;
    for line in log.lines().filter(|line| line.contains("asked vault")) {
        let id = line
            .split_once("request_id=\"")
            .and_then(|(_, after)| after.split('"').next());
        let Some(Some(run)) = id.and_then(|id| ids.get(id)) else {
            continue;
        };
        compared += 1;
        assert!(line.contains(&format!("run=\"{run}\"")), "{run}: {line}");
        assert!(line.contains("task=everything dag_id=tests"), "{line}");
    }
    // A mint, a signature and a lease of each, and a read at least.
    assert!(compared >= 7, "{compared}: {log}");
    // The others have no id to be found by: what Vault answers with 204.
    for line in log.lines().filter(|line| line.contains("asked vault")) {
        let is_own =
            OWN.iter().any(|path| line.contains(path)) || line.contains("operation=\"health\"");
        let named = runs
            .iter()
            .any(|run| line.contains(&format!("run=\"{run}\"")));
        assert!(is_own || named, "{line}");
    }
    for operation in ["mint", "key", "lease", "revoke_lease", "revoke"] {
        for run in &runs {
            let is_there = log.lines().any(|line| {
                line.contains("asked vault")
                    && line.contains(&format!("operation=\"{operation}\""))
                    && line.contains(&format!("run=\"{run}\""))
            });
            assert!(is_there, "{operation} of {run}: {log}");
        }
    }
}

/// What a slow machine may add.
const SLACK: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_collector_that_hangs_delays_no_run_and_the_end_for_a_moment() {
    let world = World::bare(binary()).unwrap();
    world.task("hello", &guest("hello"), "").unwrap();
    let hanging = Collector::start(Mood::Hangs).unwrap();
    trace(&world, &hanging.address());
    let mut stage = Stage::of(world, "").await;
    let good = async || {
        let told = stage.run("hello", json!({ "name": "Ada" })).await;
        assert_eq!(told.exit, 0, "{told:?}");
    };
    for _ in 0..200 {
        good().await;
    }
    // One answer after the other does not come.
    becomes("it is asked again and again", async || {
        good().await;
        hanging.bodies().len() >= 3
    })
    .await;
    stage.logs("the collector does not answer").await;
    good().await;

    let begun = Instant::now();
    stage.signal(Signal::TERM);
    stage.ends_well(FLUSH + SLACK).await;
    // The control: it hung to the end.
    assert!(begun.elapsed() > FLUSH / 2, "{:?}", begun.elapsed());
    assert_eq!(hanging.malformed(), 0);
    let log = stage.log();
    assert_eq!(log.matches("traces").count(), 1, "{log}");
}

#[tokio::test]
async fn a_run_of_the_service_is_one_trace_and_tells_no_secret() {
    let watched = Watched::start().await;
    let collector = Collector::start(Mood::Fine).unwrap();
    let vault = Proxy::start(watched.bao().socket()).unwrap();
    watched.traced(&collector.address(), &vault.address());
    let (upstream, _postgres) = (watched.upstream, watched.postgres);
    upstream.release();
    let mut stage = Stage::of(watched.world, "").await;
    let told = stage.run("everything", Watched::held()).await;
    assert_eq!(told.exit, 0, "{told:?}");
    // It is sent while the service is up, in its own time.
    becomes("the trace is sent", async || {
        collector.spans().iter().any(|span| span.name == "run")
    })
    .await;
    stage.ends_clean().await;
    assert!(!stage.log().contains("traces"), "{}", stage.log());
    assert_eq!(collector.malformed(), 0);

    let all = collector.spans();
    let run = only(&all, "run");
    assert_eq!(run.parent, None);
    let said = ["run", "task", "dag_id", "outcome", "exit"].map(|name| &*run.attributes[name]);
    assert_eq!(said, [&told.run, "everything", "tests", "done", "0"]);
    assert!(!run.is_error);
    assert_eq!(run.resource["service.name"], "cofferdam");
    phases(
        stage.world.bao().unwrap(),
        &all,
        run,
        [&["mint"], &["read", "key", "lease"]],
    );
    nothing_secret(&stage.world, &vault, &collector.bodies());
}

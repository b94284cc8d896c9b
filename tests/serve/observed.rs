//! What an operator sees of the service from outside: numbers and traces.

use cofferdam_devkit::collector::{Collector, Mood};
use cofferdam_devkit::proxy::Proxy;
use serde_json::json;

use super::stage::{Stage, refusal, report};
use crate::common::becomes;
use crate::observe::traces::{nothing_secret, only, phases};
use crate::observe::world::{Watched, asked};

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

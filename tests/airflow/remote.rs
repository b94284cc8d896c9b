//! The service over TLS: a worker with a certificate, one with a token, and those who
//! have neither.

use serde_json::json;

use super::Trials;
use super::deferred::is_exact;
use super::ends::{REVOKED, stays};
use super::ground::WORKER;
use super::site::{LONG, Site};

pub(super) fn trials(trials: &mut Trials) {
    for dag in ["tests_certificate", "tests_bearer"] {
        trials.add(&format!("remote::{dag}_is_let_in"), async move |site| {
            a_known_worker_is_let_in(site, dag).await;
        });
    }
    for (dag, told) in [
        ("tests_nobody", "nobody knows who you are"),
        ("tests_forger", "the token is not accepted"),
    ] {
        trials.add(&format!("remote::{dag}_is_refused"), async move |site| {
            an_unknown_worker_is_refused(site, dag, told).await;
        });
    }
    trials.add(
        "remote::a_deferred_task_is_followed",
        a_deferred_task_is_followed,
    );
}

async fn a_known_worker_is_let_in(site: &Site, dag: &str) {
    let run = site.trigger(dag, "caller", stays(500)).await;
    site.lives(&run).await;
    let state = site.airflow.api().ended(dag, &run, LONG).await.unwrap();
    let log = site.log(dag, &run, 1).await.join("\n");
    assert_eq!(state, "success", "{log}");
    assert!(
        log.contains(&format!("https://{}", site.remote.address)),
        "{log}"
    );
    site.dies(&run, REVOKED).await;
    // By which name he was known.
    let audit = site.world.audit().unwrap();
    let of_run = audit.iter().find(|it| it["identity"]["run_id"] == run);
    let caller = of_run.unwrap()["caller"].to_string();
    assert!(caller.contains(WORKER), "{caller}");
}

async fn an_unknown_worker_is_refused(site: &Site, dag: &str, told: &str) {
    let (run, state) = site.run(dag, "caller", stays(500)).await;
    let step = site.airflow.api().instance(dag, &run, "step", -1).await;
    let log = site.log(dag, &run, 1).await.join("\n");
    assert_eq!(
        (state.as_str(), step.unwrap().try_number()),
        ("failed", 1),
        "{log}"
    );
    assert!(log.contains(told), "{log}");
    let audit = site.world.audit().unwrap();
    assert!(audit.iter().all(|it| it["identity"]["run_id"] != run));
}

async fn a_deferred_task_is_followed(site: &Site) {
    let dag = "tests_certificate_deferred";
    let talk = json!({ "do": "talk", "every_ms": 100, "lines": 30 });
    let (run, state) = site.run(dag, "probe", talk).await;
    let log = site.log(dag, &run, 1).await;
    assert_eq!(state, "success", "{log:#?}");
    is_exact(&log, 30);
}

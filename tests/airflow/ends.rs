//! Ends that nobody planned: a user's kill, a timeout, SIGKILL. After each, no token of
//! the run lives.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::Trials;
use super::site::{LONG, Runner, Site, parent, processes};

/// SIGTERM to the end of the authority, by Airflow's own patience.
const REVOKED: Duration = Duration::from_secs(5);

pub(super) fn trials(trials: &mut Trials) {
    for runner in Runner::BOTH {
        let test = |name| runner.test(&format!("ends::{name}"));
        trials.add(&test("a_users_kill_cancels"), async move |site| {
            a_users_kill_cancels(site, runner).await;
        });
        trials.add(&test("a_timeout_cancels"), async move |site| {
            a_timeout_cancels(site, runner).await;
        });
        trials.add(
            &test("sigkill_of_the_task_leaves_nothing"),
            async move |site| {
                sigkill_of_the_task_leaves_nothing(site, runner).await;
            },
        );
    }
    trials.alone(
        "ends::sigkill_of_the_service_is_a_lost_run",
        sigkill_of_the_service_is_a_lost_run,
    );
}

/// Uses the secret, and then stays.
fn stays(ms: u32) -> Value {
    json!({
        "do": "http", "grant": "api", "path": "status/200",
        "then": { "do": "sleep", "ms": ms },
    })
}

async fn a_users_kill_cancels(site: &Site, runner: Runner) {
    let (dag, api) = (runner.dag("tests"), site.airflow.api());
    let run = site.trigger(&dag, "caller", stays(55_000)).await;
    site.lives(&run).await;
    api.mark_failed(&dag, &run, "step").await.unwrap();
    // With its next heartbeat, a second later, Airflow ends the task.
    site.dies(&run, REVOKED + Duration::from_secs(3)).await;
    assert_eq!(api.ended(&dag, &run, LONG).await.unwrap(), "failed");
    let log = site.log(&dag, &run, 1).await.join("\n");
    assert!(log.contains("cancel"), "{log}");
}

async fn a_timeout_cancels(site: &Site, runner: Runner) {
    let (dag, api) = (runner.dag("tests_timeout"), site.airflow.api());
    let run = site.trigger(&dag, "caller", stays(55_000)).await;
    site.lives(&run).await;
    // 3 s are what it has.
    site.dies(&run, Duration::from_secs(3) + REVOKED).await;
    assert_eq!(api.ended(&dag, &run, LONG).await.unwrap(), "failed");
    let log = site.log(&dag, &run, 1).await.join("\n");
    assert!(log.contains("imeout"), "{log}");
}

/// The process in which Airflow runs the task of this run.
async fn process_of_task(site: &Site, runner: Runner, run: &str) -> u32 {
    let begun = Instant::now();
    loop {
        let found = match runner {
            Runner::Laptop => processes(&format!("run caller .*{}", run.replace('+', ".")))
                .first()
                .and_then(|pid| parent(*pid)),
            // The audit says who asked.
            Runner::Service => site.asked_by(run),
        };
        if let Some(pid) = found {
            return pid;
        }
        assert!(begun.elapsed() < LONG, "no process runs {run}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn sigkill_of_the_task_leaves_nothing(site: &Site, runner: Runner) {
    let (dag, api) = (runner.dag("tests_retry"), site.airflow.api());
    let run = site.trigger(&dag, "caller", stays(20_000)).await;
    site.lives(&run).await;
    let pid = process_of_task(site, runner, &run).await;
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
    if runner == Runner::Laptop {
        // The binary saw its lifeline end.
        site.dies(&run, REVOKED).await;
    }
    // The next try begins anew, beside nobody.
    let begun = Instant::now();
    loop {
        let step = api.instance(&dag, &run, "step", -1).await.unwrap();
        if step.try_number() == 2 && step.state() == "running" {
            break;
        }
        assert!(begun.elapsed() < LONG, "{step:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let begun = Instant::now();
    loop {
        let lines = site.log(&dag, &run, 2).await.join("\n");
        if lines.contains("grants") {
            break;
        }
        assert!(begun.elapsed() < LONG, "{lines}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(site.living(&run).await <= 1, "two tries at once");
    assert_eq!(api.ended(&dag, &run, LONG).await.unwrap(), "success");
    site.dies(&run, REVOKED).await;
}

async fn sigkill_of_the_service_is_a_lost_run(site: &mut Site) {
    let dag = "tests_retry";
    let run = site.trigger(dag, "caller", stays(8_000)).await;
    site.lives(&run).await;
    site.kill_service();
    assert_eq!(site.living(&run).await, 1, "a dead service revokes nothing");
    site.serve().await;
    // It sweeps what it finds, and the next try is a new run.
    let ended = site.airflow.api().ended(dag, &run, LONG).await.unwrap();
    let log = site.log(dag, &run, 1).await.join("\n");
    assert_eq!(ended, "success", "{log}");
    assert!(log.contains("lost"), "{log}");
    site.dies(&run, REVOKED).await;
}

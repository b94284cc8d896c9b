//! Ends that nobody planned: a user's kill, a timeout, SIGKILL. After each, no token of
//! the run lives.

use std::time::{Duration, Instant};

use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use cofferdam_devkit::tools;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::Trials;
use super::deferred::is_exact;
use super::site::{LONG, Runner, Site, parent, processes};

/// SIGTERM to the end of the authority, by Airflow's own patience.
pub(super) const REVOKED: Duration = Duration::from_secs(5);

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
        "ends::a_restart_of_the_service_is_not_noticed",
        a_restart_of_the_service_is_not_noticed,
    );
    trials.alone(
        "ends::a_run_that_a_stopped_service_cancels_is_tried_again",
        a_run_that_a_stopped_service_cancels,
    );
    trials.alone(
        "ends::a_credential_that_may_live_fails_and_is_not_tried_again",
        a_credential_that_may_live,
    );
    trials.alone(
        "ends::a_vault_that_is_away_is_tried_again",
        a_vault_that_is_away,
    );
    trials.alone("ends::a_database_user_ends_with_its_task", a_database_user);
    trials.add(
        "ends::a_worker_that_comes_back_finds_its_run",
        a_worker_that_comes_back_finds_its_run,
    );
    trials.alone(
        "ends::sigkill_of_the_service_is_a_lost_run",
        sigkill_of_the_service_is_a_lost_run,
    );
}

/// Uses the secret, and then stays.
pub(super) fn stays(ms: u32) -> Value {
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
    // It failed when the user said so: its task tells of its end a moment after the
    // token is dead.
    site.logs(&dag, &run, 1, "cancel", REVOKED).await;
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
    // Told and found as after any other end.
    let record = site.xcom(&dag, &run, "cofferdam").await;
    assert_eq!(record["outcome"], "cancelled", "{record}");
    assert!(log.contains("every credential revoked"), "{log}");
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
    site.logs(&dag, &run, 2, "grants", LONG).await;
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

/// `systemctl restart` while two tasks are under way: the service drains, and what ends
/// meanwhile is found afterwards.
async fn a_restart_of_the_service_is_not_noticed(site: &mut Site) {
    let (dag, deferred) = ("tests_retry", "tests_deferred");
    let uses = site.trigger(dag, "caller", stays(6_000)).await;
    let talk = json!({ "do": "talk", "every_ms": 100, "lines": 60 });
    let talks = site.trigger(deferred, "probe", talk).await;
    site.lives(&uses).await;
    let api = site.airflow.api();
    api.reaches(deferred, &talks, "step", &["deferred"], LONG)
        .await
        .unwrap();
    let begun = Instant::now();
    site.stop_service();
    assert!(
        begun.elapsed() > Duration::from_secs(1),
        "nothing was under way"
    );
    assert_eq!(site.living(&uses).await, 0, "it ends what it began");
    // Long enough for the worker to find nobody.
    tokio::time::sleep(Duration::from_secs(2)).await;
    site.serve().await;
    let api = site.airflow.api();
    for (dag, run) in [(dag, &uses), (deferred, &talks)] {
        let state = api.ended(dag, run, LONG).await.unwrap();
        let log = site.log(dag, run, 1).await;
        assert_eq!(state, "success", "{log:#?}");
        let step = api.instance(dag, run, "step", -1).await.unwrap();
        assert_eq!(step.try_number(), 1, "{log:#?}");
    }
    is_exact(&site.log(deferred, &talks, 1).await, 60);
}

/// A run that does not end while the service drains: nobody wanted its end.
async fn a_run_that_a_stopped_service_cancels(site: &mut Site) {
    let dag = "tests_retry";
    site.upstream.hold();
    let held = json!({ "do": "http", "grant": "api", "path": "held" });
    let run = site.trigger(dag, "caller", held).await;
    site.lives(&run).await;
    site.stop_service_at_once().await;
    assert_eq!(site.living(&run).await, 0, "it ends what it cancels");
    site.upstream.release();
    site.serve().await;
    let state = site.airflow.api().ended(dag, &run, LONG).await.unwrap();
    let log = site.log(dag, &run, 1).await.join("\n");
    assert_eq!(state, "success", "{log}");
    assert!(log.contains("outlasted its `drain`"), "{log}");
    let step = site.airflow.api().instance(dag, &run, "step", -1).await;
    assert_eq!(step.unwrap().try_number(), 2);
    site.dies(&run, REVOKED).await;
}

/// Exit 7: the work is done, so its result is there; but nobody knows whether a
/// credential lives, so somebody has to look.
async fn a_credential_that_may_live(site: &mut Site) {
    let direct = site.world.bao().unwrap().address();
    let proxy = Proxy::start(site.world.bao().unwrap().socket()).unwrap();
    site.vault_at(&proxy.address()).await;
    // Whoever revokes what: a log-in that ends takes its attempts with it.
    let refused = proxy.inject(Rule::on("POST", "revoke", Fault::Status(500, None)));
    let mut runs = Vec::new();
    for runner in Runner::BOTH {
        let dag = runner.dag("tests_retry");
        let before = refused.hits();
        let get = json!({ "do": "http", "grant": "api", "path": "status/200" });
        let (run, state) = site.run(&dag, "caller", get).await;
        assert!(refused.hits() > before, "no revocation was refused");
        let step = site.airflow.api().instance(&dag, &run, "step", -1).await;
        let log = site.log(&dag, &run, 1).await.join("\n");
        let told = (state.as_str(), step.unwrap().try_number());
        assert_eq!(told, ("failed", 1), "{log}");
        assert!(log.contains("NOT revoked"), "{log}");
        let result = site.xcom(&dag, &run, "return_value").await;
        assert!(result.to_string().contains("200"), "{result}");
        assert_eq!(site.living(&run).await, 1, "it lives indeed");
        runs.push(run);
    }
    drop(refused);
    // The service tries again by itself; on a laptop somebody types what the log says.
    let laptop = site.world.path("laptop/cofferdam.toml");
    let program = site.world.path("cofferdam");
    let sweep = ["--config", laptop.to_str().unwrap(), "sweep"];
    let swept = site.as_airflow(program.to_str().unwrap(), &sweep);
    assert!(swept.status.success(), "{swept:?}");
    for run in &runs {
        site.dies(run, LONG).await;
    }
    site.vault_at(&direct).await;
}

/// Exit 4, and the task's own `retries` do the rest.
async fn a_vault_that_is_away(site: &mut Site) {
    let direct = site.world.bao().unwrap().address();
    let proxy = Proxy::start(site.world.bao().unwrap().socket()).unwrap();
    site.vault_at(&proxy.address()).await;
    for runner in Runner::BOTH {
        let dag = runner.dag("tests_retry");
        let away = proxy.inject(Rule::on("*", "", Fault::Reset));
        let run = site.trigger(&dag, "caller", stays(0)).await;
        let api = site.airflow.api();
        // The first try's end, before the second begins.
        let states = &["up_for_retry"];
        let first = api.reaches(&dag, &run, "step", states, LONG).await.unwrap();
        assert_eq!(first.try_number(), 1);
        assert!(away.hits() > 0, "Vault was not asked");
        drop(away);
        let ended = api.ended(&dag, &run, LONG).await.unwrap();
        let log = site.log(&dag, &run, 1).await.join("\n");
        assert_eq!(ended, "success", "{log}");
        assert!(log.contains("Vault") || log.contains("vault"), "{log}");
        site.dies(&run, REVOKED).await;
    }
    site.vault_at(&direct).await;
}

/// A credential with a lease: gone with the task, however that ends, and with it the
/// user in the database.
async fn a_database_user(site: &mut Site) {
    for runner in Runner::BOTH {
        let (dag, api) = (runner.dag("tests"), site.airflow.api());
        let (run, state) = site.run(&dag, "lender", stays(0)).await;
        let log = site.log(&dag, &run, 1).await.join("\n");
        assert_eq!(state, "success", "{log}");
        assert!(log.contains("(1 lease)"), "{log}");
        assert_eq!(site.lent().await, (0, 0));

        let run = site.trigger(&dag, "lender", stays(55_000)).await;
        let begun = Instant::now();
        while site.lent().await != (1, 1) {
            assert!(begun.elapsed() < LONG, "nothing was lent");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        api.mark_failed(&dag, &run, "step").await.unwrap();
        let begun = Instant::now();
        while site.lent().await != (0, 0) {
            let patience = REVOKED + Duration::from_secs(3);
            assert!(begun.elapsed() < patience, "{:?}", site.lent().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(api.ended(&dag, &run, LONG).await.unwrap(), "failed");
    }
}

/// What a worker does that lost the answer, or its memory: the same submission again.
async fn a_worker_that_comes_back_finds_its_run(site: &Site) {
    let script = format!(
        r#"
import sys
sys.path.insert(0, {packages:?})
from airflow_provider_cofferdam.attempt import Attempt, Submission
from airflow_provider_cofferdam.runner import ServiceRunner
from airflow_provider_cofferdam.settings import Settings

attempt = Attempt("tests", "step", "comes-back", 1, -1)
submission = Submission("probe", attempt, {{"do": "talk", "every_ms": 50, "lines": 20}}, key="k")
first, second = (ServiceRunner(Settings(socket={socket:?})) for _ in range(2))
one = first.begin(submission)
next(first.follow(one.run))
first.close()
two = second.begin(submission)
lines = [entry.message for entry in second.follow(two.run)]
print(one.run == two.run, one.is_replayed, two.is_replayed, len(lines), second.end(two.run).report.exit)
"#,
        packages = site.airflow.home().join("site"),
        socket = site.world.path("run/cofferdam.sock"),
    );
    let python = tools::airflow().unwrap().join("python3");
    let output = site.as_airflow(python.to_str().unwrap(), &["-c", &script]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        told.lines().last(),
        Some("True False True 20 0"),
        "{output:?}"
    );
}

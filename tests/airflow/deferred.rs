//! Tasks that wait in the triggerer.

use std::time::{Duration, Instant};

use cofferdam_devkit::airflow::Part;
use serde_json::json;

use super::Trials;
use super::ends::stays;
use super::site::{LONG, Site};

pub(super) fn trials(trials: &mut Trials) {
    trials.add(
        "deferred::a_result_and_every_line_once",
        a_result_and_every_line_once,
    );
    trials.add("deferred::a_users_kill_cancels", a_users_kill_cancels);
    trials.add("deferred::a_timeout_cancels", a_timeout_cancels);
    trials.alone(
        "deferred::a_restart_of_the_triggerer_is_not_noticed",
        a_restart_of_the_triggerer_is_not_noticed,
    );
}

/// Every line of the task is in the log, once and in order.
pub(super) fn is_exact(log: &[String], lines: u32) {
    let spoken: Vec<&String> = log
        .iter()
        .filter(|it| it.contains("spoken line "))
        .collect();
    let numbers = spoken.iter().map(|line| {
        let (_, rest) = line.split_once("spoken line ").unwrap();
        rest.split(|it: char| !it.is_ascii_digit()).next().unwrap()
    });
    let numbers: Vec<u32> = numbers.map(|it| it.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=lines).collect::<Vec<_>>(), "{log:#?}");
}

async fn a_result_and_every_line_once(site: &Site) {
    let talk = json!({ "do": "talk", "every_ms": 100, "lines": 30 });
    let (run, state) = site.run("tests_deferred", "probe", talk).await;
    let log = site.log("tests_deferred", &run, 1).await;
    assert_eq!(state, "success", "{log:#?}");
    is_exact(&log, 30);
    let result = site.xcom("tests_deferred", &run, "return_value").await;
    assert!(result.to_string().contains("30"), "{result}");
}

async fn a_users_kill_cancels(site: &Site) {
    let run = site
        .trigger("tests_deferred", "caller", stays(55_000))
        .await;
    let api = site.airflow.api();
    let states = &["deferred"];
    api.reaches("tests_deferred", &run, "step", states, LONG)
        .await
        .unwrap();
    site.lives(&run).await;
    // Before its trigger runs, nobody is there whom Airflow could tell.
    let begun = Instant::now();
    loop {
        let log = site.log("tests_deferred", &run, 1).await.join("\n");
        if log.contains("trigger") && log.contains("starting") {
            break;
        }
        assert!(begun.elapsed() < LONG, "{log}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    api.mark_failed("tests_deferred", &run, "step")
        .await
        .unwrap();
    site.dies(&run, Duration::from_secs(20)).await;
}

async fn a_timeout_cancels(site: &Site) {
    let dag = "tests_deferred_timeout";
    let run = site.trigger(dag, "caller", stays(55_000)).await;
    site.lives(&run).await;
    // The scheduler looks every 2 s here, and then a worker is started.
    site.dies(&run, Duration::from_secs(40)).await;
    let state = site.airflow.api().ended(dag, &run, LONG).await.unwrap();
    assert_eq!(state, "failed");
    let log = site.log(dag, &run, 1).await.join("\n");
    assert!(
        log.contains("is cancelled and its authority revoked"),
        "{log}"
    );
}

async fn a_restart_of_the_triggerer_is_not_noticed(site: &mut Site) {
    let talk = json!({
        "do": "http", "grant": "api", "path": "status/200",
        "then": { "do": "talk", "every_ms": 250, "lines": 100 },
    });
    let run = site.trigger("tests_deferred", "caller", talk).await;
    let states = &["deferred"];
    let api = site.airflow.api();
    api.reaches("tests_deferred", &run, "step", states, LONG)
        .await
        .unwrap();
    // It has said something, and has more to say.
    tokio::time::sleep(Duration::from_secs(3)).await;
    site.lives(&run).await;
    site.airflow.end(Part::Triggerer).unwrap();
    let step = site
        .airflow
        .api()
        .instance("tests_deferred", &run, "step", -1);
    assert_eq!(step.await.unwrap().state(), "deferred");
    site.airflow.begin(Part::Triggerer).unwrap();
    site.airflow.healthy().await.unwrap();
    let api = site.airflow.api();
    let state = api.ended("tests_deferred", &run, LONG).await.unwrap();
    let log = site.log("tests_deferred", &run, 1).await;
    assert_eq!(state, "success", "{log:#?}");
    is_exact(&log, 100);
    assert_eq!(site.living(&run).await, 0);
}

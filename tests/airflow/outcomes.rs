//! How a task ends, and what Airflow makes of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Trials;
use super::deferred::is_exact;
use super::site::{LONG, PARALLELISM, Runner, Site};

pub(super) fn trials(trials: &mut Trials) {
    for runner in Runner::BOTH {
        let test = |name| runner.test(&format!("outcomes::{name}"));
        trials.add(&test("a_result_is_an_xcom"), async move |site| {
            a_result_is_an_xcom(site, runner).await;
        });
        trials.add(&test("a_skip_is_a_skip"), async move |site| {
            a_skip_is_a_skip(site, runner).await;
        });
        trials.add(&test("what_can_be_tried_again_is"), async move |site| {
            what_can_be_tried_again_is(site, runner).await;
        });
        trials.add(
            &test("what_cannot_change_is_not_tried_again"),
            async move |site| {
                what_cannot_change_is_not_tried_again(site, runner).await;
            },
        );
        trials.add(&test("lines_come_while_it_runs"), async move |site| {
            lines_come_while_it_runs(site, runner).await;
        });
        // So many interpreters on two cores: what counts seconds beside them would miss its time.
        trials.alone(&test("twenty_inputs_eight_at_once"), async move |site| {
            twenty_inputs_eight_at_once(site, runner).await;
        });
    }
}

/// The same once the secret was used, so that there is something to revoke.
fn after_a_call(action: Value) -> Value {
    json!({ "do": "http", "grant": "api", "path": "status/200", "then": action })
}

/// The log's levels by text.
fn level<'a>(log: &'a [Value], text: &str) -> Option<&'a str> {
    let line = log.iter().find(|line| {
        let event = line["event"].as_str();
        event.is_some_and(|event| event.contains(text))
    })?;
    line["level"].as_str()
}

async fn a_result_is_an_xcom(site: &Site, runner: Runner) {
    let dag = runner.dag("tests");
    let log = json!({ "do": "log", "level": "warn", "text": "beware of the dog" });
    let (run, state) = site.run(&dag, "probe", log).await;
    assert_eq!(state, "success", "{:#?}", site.log(&dag, &run, 1).await);
    let api = site.airflow.api();
    let lines = api.log(&dag, &run, "step", -1, 1).await.unwrap();
    // The guest's level, and ours beside it.
    assert_eq!(
        level(&lines, "beware of the dog"),
        Some("warning"),
        "{lines:#?}"
    );
    let record = site.xcom(&dag, &run, "cofferdam").await;
    let id = record["run"].as_str().unwrap();
    assert_eq!(record["outcome"], "done", "{record}");
    assert_eq!(level(&lines, id), Some("info"), "{lines:#?}");
    assert_eq!(record["show"], format!("cofferdam audit show {id}"));

    let value = json!({ "do": "echo", "value": { "sum": [1, 2.5, null, "ü"] } });
    let (run, state) = site.run(&dag, "probe", value).await;
    assert_eq!(state, "success");
    let result = site.xcom(&dag, &run, "return_value").await;
    // Airflow shows a value that is not a text as JSON.
    let result = match result {
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        other => other,
    };
    assert_eq!(result, json!({ "sum": [1, 2.5, null, "ü"] }));

    let day = match runner {
        Runner::Service => "2026-10-01T06:00:00Z",
        Runner::Laptop => "2026-10-02T06:00:00Z",
    };
    let conf = json!({ "task": "probe", "input": { "do": "context" } });
    let run = api.trigger_for(&dag, conf, Some(day)).await.unwrap();
    assert_eq!(api.ended(&dag, &run, LONG).await.unwrap(), "success");
    let seen = site.xcom(&dag, &run, "return_value").await.to_string();
    for part in [dag.as_str(), &run, "step", &day[..19]] {
        assert!(seen.contains(part), "no {part} in {seen}");
    }
}

async fn lines_come_while_it_runs(site: &Site, runner: Runner) {
    let (dag, api) = (runner.dag("tests"), site.airflow.api());
    let talk = json!({ "do": "talk", "every_ms": 100, "lines": 100 });
    let run = site.trigger(&dag, "probe", talk).await;
    let running = api.reaches(&dag, &run, "step", &["running"], LONG);
    running.await.unwrap();
    let begun = Instant::now();
    loop {
        let lines = site.log(&dag, &run, 1).await.join("\n");
        if lines.contains("spoken line 3") {
            assert!(!lines.contains("spoken line 100"), "all of it at once");
            break;
        }
        assert!(begun.elapsed() < LONG, "{lines}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let step = api.instance(&dag, &run, "step", -1).await.unwrap();
    assert_eq!(step.state(), "running");
    assert_eq!(api.ended(&dag, &run, LONG).await.unwrap(), "success");
    is_exact(&site.log(&dag, &run, 1).await, 100);
}

async fn a_skip_is_a_skip(site: &Site, runner: Runner) {
    let dag = runner.dag("tests_retry");
    let skip = after_a_call(json!({ "do": "skip", "message": "nothing to do today" }));
    let (run, _) = site.run(&dag, "caller", skip).await;
    assert_eq!(site.living(&run).await, 0);
    let api = site.airflow.api();
    let step = api.instance(&dag, &run, "step", -1).await.unwrap();
    assert_eq!((step.state(), step.try_number()), ("skipped", 1));
    let log = site.log(&dag, &run, 1).await.join("\n");
    assert!(log.contains("nothing to do today"), "{log}");
}

async fn what_can_be_tried_again_is(site: &Site, runner: Runner) {
    let dag = runner.dag("tests_retry");
    for (input, told) in [
        (
            json!({ "do": "retry", "message": "come back" }),
            "come back",
        ),
        (
            json!({ "do": "fail", "message": "no such luck" }),
            "no such luck",
        ),
        (json!({ "do": "memory" }), "memory"),
    ] {
        let (run, state) = site.run(&dag, "caller", after_a_call(input)).await;
        assert_eq!(site.living(&run).await, 0);
        let step = site.airflow.api().instance(&dag, &run, "step", -1).await;
        let step = step.unwrap();
        assert_eq!((state.as_str(), step.try_number()), ("failed", 2), "{told}");
        for number in 1..=2 {
            let log = site.log(&dag, &run, number).await.join("\n");
            assert!(log.contains(told), "try {number}: {log}");
        }
    }
}

async fn what_cannot_change_is_not_tried_again(site: &Site, runner: Runner) {
    let dag = runner.dag("tests_retry");
    let api = site.airflow.api();
    let told = async |dag: &str, conf: Value, word: &str| {
        let run = api.trigger(dag, conf).await.unwrap();
        assert_eq!(
            api.ended(dag, &run, LONG).await.unwrap(),
            "failed",
            "{word}"
        );
        let step = api.instance(dag, &run, "step", -1).await.unwrap();
        let log = site.log(dag, &run, 1).await.join("\n");
        assert_eq!(step.try_number(), 1, "{log}");
        assert!(log.contains(word), "no {word:?}: {log}");
        assert_eq!(site.living(&run).await, 0);
    };
    let trap = json!({ "task": "caller", "input": after_a_call(json!({ "do": "trap" })) });
    told(&dag, trap, "unreachable").await;
    // Its work is done, and its result will be as deep again.
    let deep = json!({ "task": "probe", "input": { "do": "deep_output", "levels": 200 } });
    told(&dag, deep, "result is not JSON").await;
    let wider = json!({
        "task": "probe", "input": { "do": "context" }, "limits": { "timeout": "10m" },
    });
    told(&dag, wider, "limits.timeout").await;
    let unknown = json!({ "task": "no-such-task", "input": {} });
    told(&dag, unknown, "no-such-task").await;
    // The grants name other DAGs.
    let denied = json!({ "task": "caller", "input": { "do": "context" } });
    told(&runner.dag("tests_denied"), denied, "may not run").await;
}

async fn twenty_inputs_eight_at_once(site: &Site, runner: Runner) {
    let dag = runner.dag("tests_mapped");
    let api = site.airflow.api();
    site.upstream.hold();
    let run = api.trigger(&dag, json!({})).await.unwrap();
    // None ends before as many are under way as the executor takes, each with a token of its own.
    let begun = Instant::now();
    loop {
        let living = site.living(&run).await;
        if living == PARALLELISM as usize {
            break;
        }
        assert!(begun.elapsed() < LONG, "{living} are under way");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    site.upstream.release();
    assert_eq!(api.ended(&dag, &run, LONG * 2).await.unwrap(), "success");
    let steps = api.instances(&dag, &run).await.unwrap();
    assert_eq!(steps.len(), 20);
    let mut runs = std::collections::BTreeSet::new();
    for step in steps {
        let index = step.map_index();
        let value = api.xcom(&dag, &run, "step", index, "return_value").await;
        assert_eq!(
            value.unwrap().to_string().trim_matches('"'),
            index.to_string()
        );
        let record = api.xcom(&dag, &run, "step", index, "cofferdam").await;
        runs.insert(record.unwrap()["run"].to_string());
    }
    assert_eq!(runs.len(), 20, "each has a run of its own");
    assert_eq!(site.living(&run).await, 0);
}

//! What the API says, to good requests and to bad ones.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::stage::{Stage, refusal, report, result, submission};
use crate::common::SOON;

/// Sends this, and reads until the other side closes or the answer is whole.
fn raw(stage: &Stage, request: &str) -> String {
    let mut stream = UnixStream::connect(stage.socket()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            read => answer.extend_from_slice(&buffer[..read]),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// One request over a connection that ends with it: status, headers, body.
fn ask(stage: &Stage, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, Value) {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\
         content-length: {length}\r\n\r\n{body}"
    );
    let answer = raw(stage, &request);
    let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
    (status, head.to_owned(), body)
}

const JSON: &str = "content-type: application/json\r\n";

#[tokio::test]
async fn a_run_is_submitted_shown_and_listed() {
    let stage = Stage::bare("").await;
    let run = stage
        .submit("hello", json!({ "name": "Ada" }))
        .await
        .unwrap();
    let view = stage.end_of(run).await;
    assert!(result(&report(&view)).to_string().contains("Ada"));
    assert!(view.submitted <= view.started.unwrap());
    assert!(view.started.unwrap() <= view.ended.unwrap());
    assert_eq!(report(&view).run, run.to_string());

    let (status, _, list) = ask(&stage, "GET", "/v1/runs", "", "");
    assert_eq!(status, 200);
    assert_eq!(list["runs"][0]["run"], json!(run));
    assert!(list["runs"][0].get("report").is_none());

    let tasks = stage.client().tasks().await.unwrap().tasks;
    let names: Vec<_> = tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(names, ["hello", "probe"]);
    assert!(tasks[0].input_schema.as_ref().unwrap()["properties"]["name"].is_object());
    assert_eq!(tasks[0].dags, ["tests"]);
    let (status, _, task) = ask(&stage, "GET", "/v1/tasks/hello", "", "");
    assert_eq!((status, &task["name"]), (200, &json!("hello")));

    let caller = stage.world.audit().unwrap();
    let begun = caller.iter().find(|line| line["event"] == "run_started");
    let caller = &begun.unwrap()["caller"];
    let own = rustix::process::geteuid().as_raw();
    assert_eq!(
        (&caller["via"], &caller["uid"]),
        (&json!("unix"), &json!(own))
    );
    assert_eq!(caller["pid"], json!(std::process::id()));
}

/// Every series, with every field of its labels where one shows, is in docs/OPERATE.md.
#[tokio::test]
async fn every_series_is_described() {
    let page = include_str!("../../docs/OPERATE.md");
    let rule = "[[server.allow]]\nusers = [0]\ntasks = [\"*\"]\nmetrics = true\n";
    let stage = Stage::of(crate::common::world().await, rule).await;
    let text = String::from_utf8(stage.get("/metrics")).unwrap();
    let series = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let series: Vec<&str> = series.collect();
    assert!(series.len() > 15, "{text}");
    for line in series {
        let (name, kind) = line.split_once(' ').unwrap();
        let suffix = if kind == "counter" { "_total" } else { "" };
        let name = format!("`{name}{suffix}");
        let is_there = ["`", "{"]
            .iter()
            .any(|end| page.contains(&format!("{name}{end}")));
        assert!(is_there, "docs/OPERATE.md has no {name}`");
    }
}

#[tokio::test]
async fn health_version_metrics_and_page_answer() {
    let stage = Stage::bare("").await;
    stage.run("hello", json!({ "name": "Ada" })).await;
    for path in ["/v1/health/live", "/v1/health/ready", "/v1/health/vault"] {
        assert_eq!(ask(&stage, "GET", path, "", "").0, 200, "{path}");
    }
    let (_, _, version) = ask(&stage, "GET", "/v1/version", "", "");
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    let (status, head, metrics) = ask(&stage, "GET", "/metrics", "", "");
    assert_eq!(status, 200);
    assert!(head.contains("application/openmetrics-text"), "{head}");
    let metrics = metrics.as_str().unwrap().to_owned();
    for line in [
        "cofferdam_runs_total{task=\"hello\",outcome=\"done\",exit=\"0\"} 1",
        "cofferdam_run_duration_seconds_count{task=\"hello\"} 1",
        "cofferdam_ready 1",
        "cofferdam_results_kept 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let (status, _, page) = ask(&stage, "GET", "/", "", "");
    assert_eq!(status, 200);
    assert!(page.as_str().unwrap().contains("hello"));
    let (status, _, document) = ask(&stage, "GET", "/openapi.json", "", "");
    assert_eq!(status, 200);
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 13, "{:?}", paths.keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_bad_request_is_refused_with_what_is_wrong() {
    let stage = Stage::bare("[server.limits]\nbody = \"4KiB\"\n").await;
    let good = serde_json::to_string(&submission("hello", json!({ "name": "x" }))).unwrap();
    let large = "x".repeat(5_000);
    let large = serde_json::to_string(&submission("hello", json!({ "name": large }))).unwrap();
    let key = format!("{JSON}idempotency-key: k\r\n");
    let long_key = format!("{JSON}idempotency-key: {}\r\n", "k".repeat(256));
    let two_keys = format!("{key}idempotency-key: l\r\n");
    let unknown = good.replace("hello", "nobody");
    let odd_name = good.replace("hello", "Not A Name");
    let extra = good.replacen('{', "{\"extra\":1,", 1);
    let odd_dag = good.replace("\"tests\"", "\"a/b\"");
    let zeroth = good.replace("\"try_number\":1", "\"try_number\":0");
    let text = good.replace("\"try_number\":1", "\"try_number\":\"1\"");
    let twice = format!("{good}{good}");
    let runs = "/v1/runs";
    let mine = "/v1/runs/0190a0a0-0000-7000-8000-000000000000";
    for (method, path, headers, body, status, kind, detail) in [
        (
            "POST",
            runs,
            JSON,
            good.as_str(),
            400,
            "bad-request",
            "Idempotency-Key",
        ),
        ("POST", runs, &long_key, &good, 400, "bad-request", "255"),
        (
            "POST",
            runs,
            &two_keys,
            &good,
            400,
            "bad-request",
            "Idempotency-Key",
        ),
        (
            "POST",
            runs,
            "idempotency-key: k\r\n",
            &good,
            415,
            "unsupported-media-type",
            "application/json",
        ),
        ("POST", runs, &key, "", 400, "bad-request", "EOF"),
        ("POST", runs, &key, "{", 400, "bad-request", "EOF"),
        ("POST", runs, &key, &twice, 400, "bad-request", "goes on"),
        ("POST", runs, &key, "[]", 422, "invalid", "the body"),
        ("POST", runs, &key, &extra, 422, "invalid", "extra"),
        ("POST", runs, &key, &odd_dag, 422, "invalid", "dag_id"),
        ("POST", runs, &key, &zeroth, 422, "invalid", "try_number"),
        (
            "POST",
            runs,
            &key,
            &text,
            422,
            "invalid",
            "attempt.try_number",
        ),
        ("POST", runs, &key, &odd_name, 422, "invalid", "task name"),
        ("POST", runs, &key, &unknown, 404, "not-found", "nobody"),
        ("POST", runs, &key, &large, 413, "body-too-large", "4096"),
        (
            "POST",
            "/v1/runs?wait=61",
            &key,
            &good,
            400,
            "bad-request",
            "60",
        ),
        (
            "POST",
            "/v1/runs?wait=-1",
            &key,
            &good,
            400,
            "bad-request",
            "wait",
        ),
        (
            "POST",
            "/v1/runs?wiat=1",
            &key,
            &good,
            400,
            "bad-request",
            "`wait`",
        ),
        (
            "GET",
            "/v1/runs?x=1",
            "",
            "",
            400,
            "bad-request",
            "no parameters",
        ),
        ("GET", mine, "", "", 404, "not-found", "no such run"),
        (
            "GET",
            "/v1/runs/..%2f..",
            "",
            "",
            404,
            "not-found",
            "no such run",
        ),
        (
            "GET",
            &mine.to_uppercase().replace("/V1/RUNS", runs),
            "",
            "",
            404,
            "not-found",
            "no such run",
        ),
        (
            "GET",
            &format!("{mine}/log?after=x"),
            "",
            "",
            400,
            "bad-request",
            "cursor",
        ),
        (
            "GET",
            &format!("{mine}/log"),
            "last-event-id: -1\r\n",
            "",
            400,
            "bad-request",
            "cursor",
        ),
        (
            "POST",
            &format!("{mine}/cancel"),
            "",
            "x",
            400,
            "bad-request",
            "no body",
        ),
        (
            "POST",
            &format!("{mine}/cancel"),
            "",
            "",
            404,
            "not-found",
            "no such run",
        ),
        (
            "DELETE",
            mine,
            "",
            "",
            405,
            "method-not-allowed",
            "other methods",
        ),
        ("GET", "/v2", "", "", 404, "not-found", "no such path"),
        (
            "GET",
            "/v1/tasks/nobody",
            "",
            "",
            404,
            "not-found",
            "no such task",
        ),
    ] {
        let (got, head, problem) = ask(&stage, method, path, headers, body);
        let told = format!("{method} {path} {body}: {problem}");
        assert_eq!(got, status, "{told}");
        assert!(head.contains("application/problem+json"), "{told}");
        assert_eq!(
            problem["type"],
            format!("urn:cofferdam:problem:{kind}"),
            "{told}"
        );
        assert_eq!(problem["status"], status, "{told}");
        assert!(
            problem["detail"].as_str().unwrap().contains(detail),
            "{told}"
        );
        for field in ["title", "phase", "blame", "exit"] {
            assert!(!problem[field].is_null(), "{told}");
        }
    }
    let answer = raw(&stage, "not http at all\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    // Nothing of all that was begun.
    assert!(
        stage
            .world
            .audit()
            .unwrap()
            .iter()
            .all(|line| line["event"] != "run_started")
    );
    let (status, ..) = ask(&stage, "POST", "/v1/runs?wait=9", &key, &good);
    assert_eq!(status, 201, "the service still works");
}

#[tokio::test]
async fn a_key_gives_one_run_whatever_is_asked_for_under_it() {
    let stage = Stage::bare("").await;
    let submission = submission("hello", json!({ "name": "Ada" }));
    let client = stage.client();
    let first = client.submit("k", &submission).await.unwrap();
    let again = client.submit("k", &submission).await.unwrap();
    assert!(!first.replayed && again.replayed);
    assert_eq!(first.view.run, again.view.run);
    stage.end_of(first.view.run).await;
    let later = client.submit("k", &submission).await.unwrap();
    assert_eq!((later.replayed, later.view.run), (true, first.view.run));
    assert!(later.view.report.is_some());

    let other = super::stage::submission("hello", json!({ "name": "Eve" }));
    let (status, kind, _) = refusal(client.submit("k", &other).await);
    assert_eq!((status, kind.as_str()), (422, "key-reused"));
    let begun = stage.world.audit().unwrap();
    let begun = begun.iter().filter(|line| line["event"] == "run_started");
    assert_eq!(begun.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_submissions_with_one_key_are_one_run() {
    let stage = Stage::bare("").await;
    let input = json!({ "do": "sleep", "ms": 300 });
    let all = (0..1_000).map(|_| {
        let (client, submission) = (stage.client(), submission("probe", input.clone()));
        tokio::spawn(async move { client.submit("one", &submission).await.unwrap() })
    });
    let (mut runs, mut new) = (std::collections::BTreeSet::new(), 0);
    for one in all {
        let submitted = one.await.unwrap();
        new += u32::from(!submitted.replayed);
        runs.insert(submitted.view.run);
    }
    assert_eq!((runs.len(), new), (1, 1));
    stage.end_of(*runs.first().unwrap()).await;
    let audit = stage.world.audit().unwrap();
    let begun = audit.iter().filter(|line| line["event"] == "run_started");
    assert_eq!(begun.count(), 1);
}

#[tokio::test]
async fn who_hangs_up_or_says_nothing_harms_nobody() {
    let stage = Stage::bare("").await;
    let good = serde_json::to_string(&submission("probe", json!({ "do": "sleep", "ms": 200 })));
    let good = good.unwrap();
    let head = format!(
        "POST /v1/runs?wait=30 HTTP/1.1\r\nhost: x\r\n{JSON}idempotency-key: k\r\n\
         content-length: {}\r\n\r\n",
        good.len()
    );
    let silent = UnixStream::connect(stage.socket()).unwrap();
    let mut half = UnixStream::connect(stage.socket()).unwrap();
    half.write_all(b"POST /v1/runs HTT").unwrap();
    // In the middle of the body: nothing is begun.
    let mut torn = UnixStream::connect(stage.socket()).unwrap();
    torn.write_all(head.as_bytes()).unwrap();
    torn.write_all(&good.as_bytes()[..good.len() / 2]).unwrap();
    drop(torn);
    // After it: the run goes on by itself.
    let mut gone = UnixStream::connect(stage.socket()).unwrap();
    gone.write_all(format!("{head}{good}").as_bytes()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(gone);
    let submission = submission("probe", json!({ "do": "sleep", "ms": 200 }));
    let again = stage.client().submit("k", &submission).await.unwrap();
    assert!(again.replayed, "the run was begun");
    assert_eq!(report(&stage.end_of(again.view.run).await).exit, 0);
    drop((silent, half));
    let audit = stage.world.audit().unwrap();
    let begun = audit.iter().filter(|line| line["event"] == "run_started");
    assert_eq!(begun.count(), 1);
}

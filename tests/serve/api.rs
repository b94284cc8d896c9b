//! What the API says to good requests.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use cofferdam_devkit::upstream::Upstream;
use http_body_util::BodyExt as _;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};

use super::stage::{Stage, refusal, report, result, submission};
use crate::common::{SOON, becomes, get, minted};

/// One request over a connection that ends with it: status, headers, body.
pub(super) fn ask(
    stage: &Stage,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> (u16, String, Value) {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\
         content-length: {length}\r\n\r\n{body}"
    );
    let answer = String::from_utf8(stage.ask(&request)).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
    (status, head.to_owned(), body)
}

pub(super) const JSON: &str = "content-type: application/json\r\n";

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
    let group = rustix::process::getegid().as_raw();
    assert_eq!(caller["gid"], json!(group));
    assert_eq!(caller["pid"], json!(std::process::id()));
}

#[tokio::test]
async fn a_task_tells_what_it_needs() {
    let upstream = Upstream::start().unwrap();
    let stage = Stage::busy(&upstream, "").await;
    let (status, _, task) = ask(&stage, "GET", "/v1/tasks/caller", "", "");
    assert_eq!((status, &task["needs"]), (200, &json!({ "api": "http" })));
    let (_, _, task) = ask(&stage, "GET", "/v1/tasks/hello", "", "");
    assert_eq!(task["needs"], json!({}));
}

/// What browsers and other readers of event streams send when they come back.
#[tokio::test]
async fn a_log_is_resumed_by_its_header() {
    let stage = Stage::bare("").await;
    let flood = json!({ "do": "log_flood", "lines": 9 });
    let run = stage.submit("probe", flood).await.unwrap();
    stage.end_of(run).await;
    let ids = |query: &str, headers: &str| {
        let path = format!("/v1/runs/{run}/log{query}");
        let (status, _, events) = ask(&stage, "GET", &path, headers, "");
        assert_eq!(status, 200, "{events}");
        let events = events.as_str().unwrap().to_owned();
        assert!(events.contains("event: end"), "{events}");
        let ids = events.lines().filter_map(|line| line.strip_prefix("id: "));
        ids.map(|id| id.parse().unwrap()).collect::<Vec<u64>>()
    };
    assert_eq!(ids("", ""), (1..=9).collect::<Vec<_>>());
    assert_eq!(ids("", "last-event-id: 6\r\n"), [7, 8, 9]);
    // Who comes back repeats his query.
    assert_eq!(ids("?after=2", "last-event-id: 7\r\n"), [8, 9]);
}

#[tokio::test]
async fn http_2_is_spoken_over_the_socket() {
    let stage = Stage::bare("").await;
    let stream = tokio::net::UnixStream::connect(stage.socket())
        .await
        .unwrap();
    let (executor, io) = (TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    // Two at once over one connection.
    let ask = |path: &str| {
        let request = http::Request::get(format!("http://x{path}"));
        request.body(String::new()).unwrap()
    };
    let both = [
        sender.send_request(ask("/v1/tasks")),
        sender.send_request(ask("/v1/version")),
    ];
    for answer in futures_util::future::join_all(both).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.version(), http::Version::HTTP_2);
    }
}

/// A run is submitted, read, and read on over one connection.
#[tokio::test]
async fn a_log_that_broke_off_is_read_on_over_http_2() {
    let stage = Stage::bare("").await;
    let stream = tokio::net::UnixStream::connect(stage.socket()).await;
    let (executor, io) = (TokioExecutor::new(), TokioIo::new(stream.unwrap()));
    let (mut sender, connection) = http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let talk = json!({ "do": "talk", "every_ms": 20, "lines": 40 });
    let request = http::Request::post("http://x/v1/runs")
        .header("content-type", "application/json")
        .header("idempotency-key", "k")
        .body(serde_json::to_string(&submission("probe", talk)).unwrap());
    let answer = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!(answer.version(), http::Version::HTTP_2);
    assert!(answer.status().is_success(), "{answer:?}");
    let view = answer.into_body().collect().await.unwrap().to_bytes();
    let view: Value = serde_json::from_slice(&view).unwrap();
    let run = view["run"].as_str().unwrap();

    let mut log = async |after: &str| {
        let request = http::Request::get(format!("http://x/v1/runs/{run}/log"))
            .header("last-event-id", after)
            .body(String::new());
        let answer = sender.send_request(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.into_body()
    };
    let ids = |events: &str| {
        let ids = events.lines().filter_map(|line| line.strip_prefix("id: "));
        ids.map(|id| id.parse().unwrap()).collect::<Vec<u64>>()
    };
    // Its stream ends in the middle of the run; the connection does not.
    let mut first = log("0").await;
    let mut begun = String::new();
    while ids(&begun).len() < 5 {
        let frame = first.frame().await.unwrap().unwrap();
        begun.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    drop(first);
    let mut all = ids(&begun);
    assert!(all.len() < 40, "it was over before: {begun}");
    let after = all.last().unwrap().to_string();
    let rest = log(&after).await.collect().await.unwrap().to_bytes();
    let rest = std::str::from_utf8(&rest).unwrap();
    assert!(rest.contains("event: end"), "{rest}");
    all.extend(ids(rest));
    assert_eq!(all, (1..=40).collect::<Vec<_>>());
}

/// Every series, with every field of its labels where one shows, is in docs/OPERATE.md.
#[tokio::test]
async fn every_series_is_described() {
    let page = include_str!("../../docs/OPERATE.md");
    let rule = "[server.limits]\nsubmissions_per_second = 2\n\
                [[server.allow]]\nusers = [0]\ntasks = [\"*\"]\nmetrics = true\n";
    let upstream = Upstream::start().unwrap();
    let stage = Stage::busy(&upstream, rule).await;
    // So that all show that can over a socket: Vault's, a denial and a limit.
    stage.run("caller", get("status/200")).await;
    let denied = json!({ "do": "http", "grant": "api", "method": "PUT", "path": "x" });
    stage.run("caller", denied).await;
    while stage.submit("hello", json!({ "name": "x" })).await.is_ok() {}
    let node = format!(
        "cofferdam_vault_node_serves{{address=\"{}\"}}",
        stage.world.bao().unwrap().address()
    );
    becomes("the node is asked", async || stage.number(&node).is_some()).await;
    let text = String::from_utf8(stage.get("/metrics")).unwrap();
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let families: Vec<&str> = families.collect();
    assert!(families.len() > 15, "{text}");
    let mut labelled = 0;
    for family in families {
        let (name, kind) = family.split_once(' ').unwrap();
        let name = format!("{name}{}", if kind == "counter" { "_total" } else { "" });
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let shown = lines.filter_map(|line| line.strip_prefix(&name)).next();
        let labels: Vec<&str> = shown
            // A route has braces too: the labels end behind a value.
            .and_then(|line| line.split_once('{')?.1.split_once("\"}"))
            .map(|(labels, _)| labels.split("\",").collect::<Vec<_>>())
            .unwrap_or_default()
            .into_iter()
            .filter_map(|label| Some(label.split_once('=')?.0))
            .filter(|label| *label != "le")
            .collect();
        labelled += usize::from(!labels.is_empty());
        let ends = match (shown, labels.is_empty()) {
            // Nothing of it shows here.
            (None, _) => vec!["`".to_owned(), "{".to_owned()],
            (_, true) => vec!["`".to_owned()],
            (_, false) => vec![format!("{{{}}}`", labels.join(","))],
        };
        let is_there = ends
            .iter()
            .any(|end| page.contains(&format!("`{name}{end}")));
        assert!(is_there, "docs/OPERATE.md has no `{name}` with {labels:?}");
    }
    assert_eq!(labelled, 9, "{text}");
}

#[tokio::test]
async fn health_version_metrics_and_page_answer() {
    let stage = Stage::bare("[server.limits]\nruns = 1\n").await;
    let hello = stage.run("hello", json!({ "name": "Ada" })).await;
    for end in ["memory", "trap"] {
        stage.run("probe", json!({ "do": end })).await;
    }
    // With one place, the second waits for it.
    let sleep = json!({ "do": "sleep", "ms": 60_000 });
    let slow = stage.submit("probe", sleep.clone()).await.unwrap();
    stage.running(slow).await;
    let waits = stage.submit("probe", sleep).await.unwrap();
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
        "cofferdam_runs_total{task=\"probe\",outcome=\"out_of_limits\",exit=\"5\"} 1",
        "cofferdam_runs_total{task=\"probe\",outcome=\"trapped\",exit=\"6\"} 1",
        "cofferdam_limits_hit_total{limit=\"memory\"} 1",
        "cofferdam_run_duration_seconds_count{task=\"hello\"} 1",
        "cofferdam_run_duration_seconds_count{task=\"probe\"} 2",
        "cofferdam_runs_under_way 1",
        "cofferdam_runs_waiting 1",
        "cofferdam_ready 1",
        "cofferdam_results_kept 3",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}: {metrics}");
    }
    let limits = metrics.lines();
    let limits = limits.filter(|line| line.starts_with("cofferdam_limits_hit_total"));
    assert_eq!(limits.count(), 1, "{metrics}");
    let (status, _, page) = ask(&stage, "GET", "/", "", "");
    assert_eq!(status, 200);
    let page = page.as_str().unwrap();
    let ready = format!("{} ready", env!("CARGO_PKG_VERSION"));
    for (name, value) in [
        ("Service", ready.as_str()),
        ("audit", "ok"),
        ("store", "ok"),
        ("journal", "ok"),
        ("vault", "ok"),
        ("drain", "ok"),
        ("Runs under way", "1"),
        ("Runs waiting", "1"),
        ("Results kept", "3"),
        ("hello", ""),
        ("probe", ""),
    ] {
        let row = format!("<tr><th>{name}</th><td>{value}</td></tr>");
        assert!(page.contains(&row), "{row}: {page}");
    }
    for (run, what) in [
        (hello.run, "hello ended "),
        (slow.to_string(), "probe running "),
        (waits.to_string(), "probe queued "),
    ] {
        let row = format!("<tr><th>{run}</th><td>{what}");
        assert!(page.contains(&row), "{row}: {page}");
    }
    let (status, _, document) = ask(&stage, "GET", "/openapi.json", "", "");
    assert_eq!(status, 200);
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 13, "{:?}", paths.keys().collect::<Vec<_>>());
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
    assert_eq!(stage.world.begun().unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_submissions_with_one_key_are_one_run() {
    let upstream = Upstream::start().unwrap();
    let mut stage = Stage::busy(&upstream, "").await;
    let all = (0..1_000).map(|_| {
        let (client, submission) = (stage.client(), submission("caller", get("held")));
        tokio::spawn(async move { client.submit("one", &submission).await.unwrap() })
    });
    let (mut runs, mut new) = (std::collections::BTreeSet::new(), 0);
    for one in all {
        let submitted = one.await.unwrap();
        new += u32::from(!submitted.replayed);
        runs.insert(submitted.view.run);
    }
    assert_eq!((runs.len(), new), (1, 1));
    upstream.release();
    stage.held_ended(&upstream, *runs.first().unwrap()).await;
    // Vault and the API say so too.
    assert_eq!(stage.world.bao().unwrap().minted().unwrap(), 1);
    assert_eq!(upstream.requests().len(), 1);
    stage.ends_clean().await;
    assert_eq!(stage.world.begun().unwrap(), 1);
}

#[tokio::test]
async fn who_hangs_up_or_says_nothing_harms_nobody() {
    let upstream = Upstream::start().unwrap();
    let mut stage = Stage::busy(&upstream, "").await;
    let good = serde_json::to_string(&submission("caller", get("held"))).unwrap();
    let head = format!(
        "POST /v1/runs?wait=30 HTTP/1.1\r\nhost: x\r\n{JSON}idempotency-key: k\r\n\
         content-length: {}\r\n\r\n",
        good.len()
    );
    let silent = UnixStream::connect(stage.socket()).unwrap();
    let mut half = UnixStream::connect(stage.socket()).unwrap();
    half.write_all(b"POST /v1/runs HTT").unwrap();
    // The one that asks is open too.
    let open = async |count: f64| {
        let what = format!("{count} connections are open");
        becomes(&what, async || {
            stage.number("cofferdam_connections") == Some(count)
        })
        .await;
    };
    open(3.0).await;
    // In the middle of the body: nothing is begun.
    let mut torn = UnixStream::connect(stage.socket()).unwrap();
    torn.set_read_timeout(Some(SOON)).unwrap();
    let expects = head.replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
    torn.write_all(expects.as_bytes()).unwrap();
    // The service asks for the body: it waits for it from here on.
    let mut asked = [0; 25];
    torn.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    torn.write_all(&good.as_bytes()[..good.len() / 2]).unwrap();
    open(4.0).await;
    drop(torn);
    open(3.0).await;
    assert_eq!(ask(&stage, "GET", "/v1/runs", "", "").2["runs"], json!([]));
    assert_eq!(stage.world.begun().unwrap(), 0);
    // After it: the run goes on by itself.
    let mut gone = UnixStream::connect(stage.socket()).unwrap();
    gone.write_all(format!("{head}{good}").as_bytes()).unwrap();
    let bao = stage.world.bao().unwrap();
    minted(bao, "caller", 1).await;
    drop(gone);
    let submission = submission("caller", get("held"));
    let again = stage.client().submit("k", &submission).await.unwrap();
    assert!(again.replayed, "the run was begun");
    upstream.release();
    stage.held_ended(&upstream, again.view.run).await;
    drop((silent, half));
    assert_eq!(bao.minted().unwrap(), 1);
    assert_eq!(stage.world.begun().unwrap(), 1);
    stage.ends_clean().await;
}

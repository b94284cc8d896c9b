//! What the API says to bad requests.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::thread;

use serde_json::json;

use super::api::{JSON, ask};
use super::stage::{Stage, submission};

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
    for (method, path, headers, body, status, kind, detail, hint) in [
        (
            "POST",
            runs,
            JSON,
            good.as_str(),
            400,
            "bad-request",
            "Idempotency-Key",
            "new for every run",
        ),
        (
            "POST",
            runs,
            &long_key,
            &good,
            400,
            "bad-request",
            "255",
            "new for every run",
        ),
        (
            "POST",
            runs,
            &two_keys,
            &good,
            400,
            "bad-request",
            "Idempotency-Key",
            "new for every run",
        ),
        (
            "POST",
            runs,
            "idempotency-key: k\r\n",
            &good,
            415,
            "unsupported-media-type",
            "application/json",
            "",
        ),
        ("POST", runs, &key, "", 400, "bad-request", "EOF", ""),
        ("POST", runs, &key, "{", 400, "bad-request", "EOF", ""),
        (
            "POST",
            runs,
            &key,
            &twice,
            400,
            "bad-request",
            "goes on",
            "",
        ),
        ("POST", runs, &key, "[]", 422, "invalid", "the body", ""),
        ("POST", runs, &key, &extra, 422, "invalid", "extra", ""),
        ("POST", runs, &key, &odd_dag, 422, "invalid", "dag_id", ""),
        (
            "POST",
            runs,
            &key,
            &zeroth,
            422,
            "invalid",
            "try_number",
            "",
        ),
        (
            "POST",
            runs,
            &key,
            &text,
            422,
            "invalid",
            "attempt.try_number",
            "",
        ),
        (
            "POST",
            runs,
            &key,
            &odd_name,
            422,
            "invalid",
            "task name",
            "",
        ),
        (
            "POST",
            runs,
            &key,
            &unknown,
            404,
            "not-found",
            "nobody",
            "lists yours",
        ),
        (
            "POST",
            runs,
            &key,
            &large,
            413,
            "body-too-large",
            "4096",
            "a reference",
        ),
        (
            "POST",
            "/v1/runs?wait=61",
            &key,
            &good,
            400,
            "bad-request",
            "60",
            "",
        ),
        (
            "POST",
            "/v1/runs?wait=-1",
            &key,
            &good,
            400,
            "bad-request",
            "wait",
            "",
        ),
        (
            "POST",
            "/v1/runs?wiat=1",
            &key,
            &good,
            400,
            "bad-request",
            "`wait`",
            "",
        ),
        (
            "GET",
            "/v1/runs?x=1",
            "",
            "",
            400,
            "bad-request",
            "no parameters",
            "",
        ),
        (
            "GET",
            mine,
            "",
            "",
            404,
            "not-found",
            "no such run",
            "server.results",
        ),
        (
            "GET",
            "/v1/runs/..%2f..",
            "",
            "",
            404,
            "not-found",
            "no such run",
            "",
        ),
        (
            "GET",
            &mine.to_uppercase().replace("/V1/RUNS", runs),
            "",
            "",
            404,
            "not-found",
            "no such run",
            "",
        ),
        (
            "GET",
            &format!("{mine}/log?after=x"),
            "",
            "",
            400,
            "bad-request",
            "cursor",
            "",
        ),
        (
            "GET",
            &format!("{mine}/log"),
            "last-event-id: -1\r\n",
            "",
            400,
            "bad-request",
            "cursor",
            "",
        ),
        (
            "POST",
            &format!("{mine}/cancel"),
            "",
            "x",
            400,
            "bad-request",
            "no body",
            "",
        ),
        (
            "POST",
            &format!("{mine}/cancel"),
            "",
            "",
            404,
            "not-found",
            "no such run",
            "server.results",
        ),
        (
            "DELETE",
            mine,
            "",
            "",
            405,
            "method-not-allowed",
            "other methods",
            "/openapi.json",
        ),
        (
            "GET",
            "/v2",
            "",
            "",
            404,
            "not-found",
            "no such path",
            "/openapi.json",
        ),
        (
            "GET",
            "/v1/tasks/nobody",
            "",
            "",
            404,
            "not-found",
            "no such task",
            "",
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
        // All of these are the caller's own doing, and a command ends as after a wrong
        // argument.
        assert!(!problem["title"].as_str().unwrap().is_empty(), "{told}");
        let ours = ["phase", "blame", "exit"].map(|field| &problem[field]);
        assert_eq!(json!(ours), json!(["request", "task", 2]), "{told}");
        match hint {
            "" => assert!(problem["hint"].is_null(), "{told}"),
            hint => assert!(problem["hint"].as_str().unwrap().contains(hint), "{told}"),
        }
    }
    let answer = stage.ask("not http at all\r\n\r\n");
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{answer:?}");
    // Nothing of all that was begun.
    assert_eq!(stage.world.begun().unwrap(), 0);
    let (status, ..) = ask(&stage, "POST", "/v1/runs?wait=9", &key, &good);
    assert_eq!(status, 201, "the service still works");
}

/// What a connection may take of the memory before anything is known of its caller's limits.
#[tokio::test]
async fn a_head_that_is_too_long_is_refused_and_not_kept() {
    let stage = Stage::bare("").await;
    for (length, status) in [(30 << 10, "200"), (8 << 20, "431")] {
        let mut stream = UnixStream::connect(stage.socket()).unwrap();
        let mut writing = stream.try_clone().unwrap();
        let writer = thread::spawn(move || {
            let line = "x".repeat(length);
            let head = format!(
                "GET /v1/tasks HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-long: {line}\r\n\r\n"
            );
            writing.write_all(head.as_bytes())
        });
        let mut answer = Vec::new();
        // It may be closed with what was sent unread.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
        drop(stream);
        let written = writer.join().unwrap();
        assert_eq!(written.is_ok(), status == "200", "{written:?}");
    }
}

/// Who keeps a connection is told when it ends: what it sent next would be lost.
#[tokio::test]
async fn who_is_answered_before_the_body_is_read_is_told_that_the_connection_ends() {
    let stage = Stage::bare("").await;
    for (query, is_read) in [("?wait=never", false), ("", true)] {
        let mut stream = UnixStream::connect(stage.socket()).unwrap();
        let head = format!(
            "POST /v1/runs{query} HTTP/1.1\r\nhost: x\r\n{JSON}idempotency-key: k\r\ncontent-length: 2\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        if is_read {
            stream.write_all(b"{}").unwrap();
        }
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        let is_told = answer.to_lowercase().contains("connection: close");
        assert_eq!(is_told, !is_read, "{answer}");
    }
}

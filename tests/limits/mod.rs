//! Every limit of the grants file bites, is named, and hurts nobody else.

mod cache;
mod compiling;
mod handles;
mod hostile;
mod neighbours;
mod wat;

use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::World;
use serde_json::{Value, json};

use crate::common::{api, binary, guest, install, nobody_lives, world};

/// Runs `task` with this input: exit code and report.
fn run(world: &World, input: &Value) -> (i32, Value) {
    let finished = world.run("task").input(input.clone()).finish().unwrap();
    (finished.code, finished.report().unwrap())
}

#[test]
fn each_limit_of_the_attempt_is_named() {
    let world = World::bare(binary()).unwrap();
    for (limit, value, input, ends_it) in [
        ("timeout", "\"300ms\"", json!({"do": "spin"}), true),
        (
            "timeout",
            "\"300ms\"",
            json!({"do": "sleep", "ms": 60_000}),
            true,
        ),
        (
            "heartbeat",
            "\"200ms\"",
            json!({"do": "sleep", "ms": 60_000}),
            true,
        ),
        ("memory", "\"4MiB\"", json!({"do": "memory"}), true),
        ("host_calls", "1000", json!({"do": "host_call_loop"}), true),
        (
            "output",
            "\"1KiB\"",
            json!({"do": "huge_output", "bytes": 2_000}),
            true,
        ),
        (
            "call_size",
            "",
            json!({"do": "huge_output", "bytes": 100_000_000}),
            true,
        ),
        (
            "log",
            "\"1KiB\"",
            json!({"do": "log_flood", "lines": 100}),
            false,
        ),
    ] {
        let lines = match limit {
            "call_size" => "[limits]\nmemory = \"512MiB\"\n".to_owned(),
            _ => format!("[limits]\n{limit} = {value}\n"),
        };
        world.task("task", &guest("probe"), &lines).unwrap();
        let (code, report) = run(&world, &input);
        assert_eq!(report["limits"], json!([limit]), "{input}: {report}");
        let outcome = if ends_it {
            (5, json!({"kind": "out_of_limits", "limit": limit}))
        } else {
            (0, json!({"kind": "done"}))
        };
        assert_eq!((code, report["outcome"].clone()), outcome, "{input}");

        // The same with room enough: it was this limit and no other.
        if ["heartbeat", "output", "log"].contains(&limit) {
            let input = match limit {
                "heartbeat" => json!({"do": "heartbeat", "every_ms": 50, "times": 8}),
                _ => input,
            };
            let room = match limit {
                "heartbeat" => lines,
                _ => format!("[limits]\n{limit} = \"1MiB\"\n"),
            };
            world.task("task", &guest("probe"), &room).unwrap();
            let (code, report) = run(&world, &input);
            assert_eq!((code, &report["limits"]), (0, &json!([])), "{report}");
        }
    }
}

#[tokio::test]
async fn a_task_that_is_refused_a_thousand_times_ends() {
    let world = world().await;
    let upstream = Upstream::start().unwrap();
    install(&world, "task", "probe-http", &api(&upstream.address()));
    let input = |times: u32| json!({"do": "http", "grant": "api", "method": "DELETE", "path": "x", "times": times});
    let (code, report) = run(&world, &input(1_200));
    assert_eq!(
        (code, &report["limits"]),
        (5, &json!(["refusals"])),
        "{report}"
    );
    assert_eq!(report["outcome"]["limit"], "refusals", "{report}");
    assert_eq!(report["denials"][0]["count"], 1_000, "{report}");
    let show = [
        "--format",
        "json",
        "audit",
        "show",
        report["run"].as_str().unwrap(),
    ];
    let shown = world.command(&show).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(shown.matches("out_of_scope").count(), 1_000);
    assert!(
        shown.contains("\"limits\":[\"refusals\"]"),
        "{}",
        &shown[shown.len() - 500..]
    );
    // One fewer is no reason: it returns what it was told.
    let (code, report) = run(&world, &input(999));
    assert_eq!((code, &report["limits"]), (0, &json!([])));
    assert_eq!(report["result"].as_array().unwrap().len(), 999);
    assert!(upstream.requests().is_empty());
}

#[test]
fn deep_recursion_is_told_in_words_that_help() {
    let world = World::bare(binary()).unwrap();
    world.task("task", &guest("probe"), "").unwrap();
    let (code, report) = run(&world, &json!({"do": "deep_recursion"}));
    assert_eq!(code, 6, "{report}");
    let reason = report["outcome"]["reason"].as_str().unwrap();
    assert!(reason.contains("recursion"), "{reason}");
}

#[tokio::test]
async fn the_limits_of_a_grant_are_named_with_the_grant() {
    let world = world().await;
    let upstream = Upstream::start().unwrap();
    let grants = format!(
        "{}max_request = \"1KiB\"\nmax_response = \"10KiB\"\n",
        api(&upstream.address())
    );
    install(&world, "task", "probe-http", &grants);
    let call = |more: Value| {
        let mut input = json!({"do": "http", "grant": "api", "method": "POST"});
        for (key, value) in more.as_object().unwrap() {
            input[key] = value.clone();
        }
        input
    };
    for (more, limit, bytes) in [
        (
            json!({"path": "x", "body_size": 1_025}),
            "http.api.max_request",
            1_024,
        ),
        (
            json!({"path": "big/10241"}),
            "http.api.max_response",
            10_240,
        ),
        (
            json!({"path": "bomb/1000000"}),
            "http.api.max_response",
            10_240,
        ),
    ] {
        let (code, report) = run(&world, &call(more.clone()));
        assert_eq!(
            (code, &report["limits"]),
            (0, &json!([limit])),
            "{more}: {report}"
        );
        let answer = &report["result"][0];
        let too_large = json!({"error": "too-large", "limit": bytes});
        assert!(
            *answer == too_large || answer["read_error"] == too_large,
            "{more}: {answer}"
        );
    }
    for more in [
        json!({"path": "x", "body_size": 1_024}),
        json!({"path": "big/10240"}),
    ] {
        let (_, report) = run(&world, &call(more));
        assert_eq!(report["limits"], json!([]), "{report}");
    }
    nobody_lives(world.bao().unwrap()).await;
}

//! Guests that misbehave: the outcome is told, the terminal stays the caller's.

use cofferdam_devkit::world::World;
use serde_json::{Value, json};

use super::Desk;
use crate::common::guest;

const LIMITS: &str = "[limits]\ntimeout = \"500ms\"\nmemory = \"16MiB\"\nlog = \"10KiB\"\n";

#[tokio::test]
async fn what_a_guest_does_wrong_is_named() {
    let mut desk = Desk::new().await;
    desk.world.task("hello", &guest("probe"), LIMITS).unwrap();
    for (name, input, code) in [
        ("a loop", json!({"do": "spin"}), 5),
        ("a bomb", json!({"do": "memory"}), 5),
        (
            "100 MB of result",
            json!({"do": "huge_output", "bytes": 9_000_000}),
            5,
        ),
        ("deep recursion", json!({"do": "deep_recursion"}), 6),
        ("a trap", json!({"do": "trap"}), 6),
        (
            "a panic",
            json!({"do": "panic", "message": "the disk is full"}),
            6,
        ),
        (
            "a result too deep for most readers",
            json!({"do": "deep_output", "levels": 200}),
            6,
        ),
        ("an exit", json!({"do": "exit", "code": 3}), 6),
        (
            "a failure",
            json!({"do": "fail", "message": "no such month"}),
            1,
        ),
        (
            "a retry",
            json!({"do": "retry", "message": "try later"}),
            75,
        ),
        (
            "a skip",
            json!({"do": "skip", "message": "nothing new"}),
            99,
        ),
        ("a forged failure", json!({"do": "forge_failure"}), 1),
        ("a forged log", json!({"do": "forge_log"}), 0),
        ("an input that it does not know", json!({"do": "dance"}), 1),
    ] {
        let text = input.to_string();
        let arguments = ["run", "hello", "--dag-id", "tests", "--input", &text];
        let finished = desk.command(name, code, &arguments);
        for forged in ["\u{1b}", "\u{7}", "\u{9b}", "\u{202e}", "\r"] {
            assert!(!finished.stderr.contains(forged), "{name}: {finished:?}");
        }
        assert!(
            !finished
                .stderr
                .lines()
                .any(|line| line.starts_with("::group::") || line.starts_with("##[")),
            "{name}: {finished:?}"
        );
    }
    desk.close("guests").await;
}

fn run(world: &World, input: Value) -> (i32, Value) {
    let finished = world.run("hello").input(input).finish().unwrap();
    (finished.code, finished.report().unwrap())
}

#[tokio::test]
async fn a_result_of_100_mb_and_a_flood_of_logs_stay_bounded() {
    let world = World::bare(crate::common::binary()).unwrap();
    let limits = "[limits]\ntimeout = \"20s\"\nmemory = \"512MiB\"\nlog = \"10KiB\"\n";
    world.task("hello", &guest("probe"), limits).unwrap();
    let (code, report) = run(&world, json!({"do": "huge_output", "bytes": 100_000_000}));
    assert_eq!(
        (code, &report["outcome"]["kind"]),
        (5, &json!("out_of_limits")),
        "{report}"
    );

    let finished = world
        .run("hello")
        .input(json!({"do": "log_flood", "lines": 50_000}))
        .finish()
        .unwrap();
    assert_eq!(finished.code, 0);
    assert!(
        finished.stderr.len() < 20_000,
        "{} bytes of log",
        finished.stderr.len()
    );
    assert_eq!(finished.report().unwrap()["limits"], json!(["log"]));
    assert!(finished.stderr.contains("log"), "{}", finished.stderr);
}

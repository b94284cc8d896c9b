//! Guests that no compiler of ours would make, in WebAssembly text.

use cofferdam_devkit::world::World;
use serde_json::{Value, json};

use super::run;
use crate::common::{binary, install, nobody_lives, signer, world};

/// What every task imports for the type of its failure.
const OUTCOME: &str = r#"
  (import "cofferdam:task/outcome@0.1.0" (instance $outcome
    (type $d (enum "retry" "fail" "skip"))
    (export "disposition" (type $disposition (eq $d)))
    (type $f (record (field "disposition" $disposition) (field "message" string)))
    (export "failed" (type (eq $f)))))
  (alias export $outcome "failed" (type $failed))
"#;
/// Memory and an allocator that gives the same place again and again.
const MEMORY: &str = r#"
  (core module $libc
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
  (core instance $libc (instantiate $libc))
"#;
/// Lifts `run` out of the core instance `$main`.
const LIFT: &str = r#"
  (func (export "run") (param "input" string) (result (result string (error $failed)))
    (canon lift (core func $main "run")
      (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
"#;

fn install_text(world: &World, middle: &str, grants: &str) {
    let text = format!("(component {OUTCOME} {MEMORY} {middle} {LIFT})");
    let path = world.path("hostile.wasm");
    std::fs::write(&path, wat::parse_str(&text).unwrap()).unwrap();
    world.task("task", &path, grants).unwrap();
}

/// A `run` with this body, which ends in an address of the result.
fn plain(body: &str) -> String {
    format!(
        "(core module $main (table $t 1 funcref)
           (func (export \"run\") (param i32 i32) (result i32) {body} (i32.const 0)))
         (core instance $main (instantiate $main))"
    )
}

#[test]
fn a_table_that_grows_for_ever_ends_at_its_limit() {
    let world = World::bare(binary()).unwrap();
    let body = "(loop $again
        (if (i32.eq (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))
          (then unreachable))
        (br $again))";
    install_text(&world, &plain(body), "[limits]\ntable_elements = 5000\n");
    let (code, report) = run(&world, &json!({}));
    assert_eq!(
        (code, &report["limits"]),
        (5, &json!(["table_elements"])),
        "{report}"
    );
}

#[test]
fn too_many_instances_do_not_start() {
    let world = World::bare(binary()).unwrap();
    let mut many = plain("");
    many.push_str("(core module $empty)");
    for _ in 0..30 {
        many.push_str("(core instance (instantiate $empty))");
    }
    install_text(&world, &many, "[limits]\ninstances = 20\n");
    let (code, report) = run(&world, &json!({}));
    assert_eq!(
        (code, &report["limits"]),
        (5, &json!(["instances"])),
        "{report}"
    );
}

/// A task that opens the key `signer`, then does `rest`; local 2 is the handle.
fn with_key(rest: &str) -> String {
    let body = format!(
        r#"
  (import "cofferdam:capabilities/types@0.1.0" (instance $types
    (type $d (enum "not-granted" "out-of-scope" "expired" "revoked" "limit-reached"
      "invalid-argument" "unavailable" "internal"))
    (export "denial" (type $denial (eq $d)))
    (type $f (record (field "kind" $denial) (field "retryable" bool) (field "audit-ref" string)))
    (export "failure" (type (eq $f)))))
  (alias export $types "failure" (type $failure))
  (import "cofferdam:capabilities/keys@0.1.0" (instance $keys
    (export "failure" (type $failure' (eq $failure)))
    (export "key" (type $key (sub resource)))
    (type $opened (result (own $key) (error $failure')))
    (export "open" (func (param "grant" string) (result $opened)))
    (type $signed (result string (error $failure')))
    (export "[method]key.sign"
      (func (param "self" (borrow $key)) (param "message" (list u8)) (result $signed)))))
  (alias export $keys "key" (type $key))
  (core func $drop (canon resource.drop $key))
  (core func $open (canon lower (func $keys "open")
    (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $sign (canon lower (func $keys "[method]key.sign")
    (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core module $main
    (import "libc" "memory" (memory 1))
    (import "keys" "open" (func $open (param i32 i32 i32)))
    (import "keys" "sign" (func $sign (param i32 i32 i32 i32)))
    (import "keys" "drop" (func $drop (param i32)))
    (data (i32.const 64) "signer")
    (func (export "run") (param i32 i32) (result i32) (local i32)
      {rest}
      ;; ok, and an empty text that is no JSON
      (i32.store8 (i32.const 512) (i32.const 0))
      (i32.store (i32.const 516) (i32.const 64))
      (i32.store (i32.const 520) (i32.const 0))
      (i32.const 512)))
  (core instance $main (instantiate $main
    (with "libc" (instance (export "memory" (memory $libc "memory"))))
    (with "keys" (instance
      (export "open" (func $open)) (export "sign" (func $sign)) (export "drop" (func $drop))))))
"#
    );
    body
}

const OPEN: &str = "(call $open (i32.const 64) (i32.const 6) (i32.const 128))
    (if (i32.load8_u (i32.const 128)) (then unreachable))
    (local.set 2 (i32.load (i32.const 132)))";
const SIGN: &str = "(call $sign (local.get 2) (i32.const 64) (i32.const 6) (i32.const 256))";
const DROP: &str = "(call $drop (local.get 2))";

#[tokio::test]
async fn a_handle_serves_its_own_attempt_and_only_until_it_is_dropped() {
    let world = world().await;
    let bao = world.bao().unwrap();
    let grants = signer("signer", &["sign"]);
    install(&world, "task", "probe-keys", &grants);
    let signatures = || bao.answers_to("transit/sign").unwrap().len();

    // Positive control: open, sign, drop. It comes to its end, where its text is no JSON.
    let came_to_its_end = |report: &Value| {
        let reason = report["outcome"]["reason"].as_str().unwrap();
        reason.contains("is not JSON")
    };
    install_text(&world, &with_key(&format!("{OPEN}{SIGN}{DROP}")), &grants);
    let (code, report) = run(&world, &json!({}));
    assert_eq!(
        (code, &report["calls"]["keys.signer.sign"]),
        (6, &json!(1)),
        "{report}"
    );
    assert!(came_to_its_end(&report), "{report}");
    assert_eq!(signatures(), 1);

    let guess = |handle: i32| format!("(local.set 2 (i32.const {handle}))");
    for (name, rest) in [
        ("after drop", format!("{OPEN}{DROP}{SIGN}")),
        ("dropped twice", format!("{OPEN}{DROP}{DROP}")),
        ("never opened here", format!("{}{SIGN}", guess(1))),
        ("guessed", format!("{OPEN}{}{SIGN}", guess(2))),
        ("far out", format!("{OPEN}{}{SIGN}", guess(-1))),
    ] {
        install_text(&world, &with_key(&rest), &grants);
        let (code, report) = run(&world, &json!({}));
        assert_eq!(
            (code, &report["outcome"]["kind"]),
            (6, &json!("trapped")),
            "{name}: {report}"
        );
        assert!(!came_to_its_end(&report), "{name}: {report}");
        assert!(
            report["calls"].get("keys.signer.sign").is_none(),
            "{name}: {report}"
        );
        assert_eq!(signatures(), 1, "{name}");
    }
    nobody_lives(bao).await;
}

//! However a run ends, its database user and its sessions are gone, and what
//! ran for it on the server does not run any more.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::world::{DYNAMIC, EVERYTHING, FIXED, Warehouse};
use crate::common::{SOON, ended, journal, signal, sweep, until};

/// A statement that takes a minute, but for the database's own word.
const LONG: &str = "SELECT count(*) FROM notes a, notes b, notes c, notes d";

/// Waits for the server to be in the middle of [`LONG`].
async fn busy(warehouse: &Warehouse) {
    let start = Instant::now();
    while warehouse.running().await.is_empty() {
        assert!(start.elapsed() < SOON, "nothing runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits, very shortly, until nothing runs for anybody.
async fn idle(warehouse: &Warehouse, within: Duration) {
    let start = Instant::now();
    loop {
        let running = warehouse.running().await;
        if running.is_empty() {
            return;
        }
        assert!(start.elapsed() < within, "{running:?} still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// With rows enough for [`LONG`] to be long.
async fn start() -> Warehouse {
    let warehouse = Warehouse::start().await;
    warehouse
        .postgres
        .ask("INSERT INTO notes SELECT n, 'x' FROM generate_series(1, 1000) n")
        .await
        .unwrap();
    warehouse
}

fn steps(steps: Value, then: Value) -> Value {
    json!({"do": "sql", "grant": "db", "steps": steps, "then": then})
}

#[tokio::test]
async fn every_end_of_a_guest_ends_its_user() {
    let warehouse = start().await;
    let use_it = json!([
        {"query": {"sql": "SELECT body, id FROM notes", "keep": true}},
        {"read_kept": {"rows": 1}},
    ]);
    for (then, code) in [
        (json!({"do": "echo", "value": 1}), 0),
        (json!({"do": "fail", "message": "no"}), 1),
        (json!({"do": "retry", "message": "later"}), 75),
        (json!({"do": "skip", "message": "nothing"}), 99),
        (json!({"do": "trap"}), 6),
        (json!({"do": "panic", "message": "oh"}), 6),
        (json!({"do": "deep_recursion"}), 6),
        (json!({"do": "exit", "code": 3}), 6),
    ] {
        let input = steps(use_it.clone(), then.clone());
        let finished = warehouse.world.run("load").input(input).finish().unwrap();
        assert_eq!(finished.code, code, "{then}: {finished:?}");
        let report = finished.report().unwrap();
        assert_eq!(
            report["revocation"],
            json!({"complete": true, "leases": {"revoked": 1, "left": 0}}),
            "{then}"
        );
        assert_eq!(report["calls"]["sql.db.query"], 1, "{then}");
        assert!(journal(&warehouse.world).is_empty());
        assert_eq!(warehouse.users().await, Vec::<String>::new(), "{then}");
        assert_eq!(warehouse.sessions().await, 0, "{then}");
    }
    warehouse.nothing_is_left().await;
}

#[tokio::test]
async fn a_statement_that_runs_is_cancelled_at_every_end() {
    let warehouse = start().await;
    let limits = |task: &str, credential: &str, timeout: &str| {
        warehouse.grant(task, credential, EVERYTHING, "statement_timeout = \"1h\"\n");
        let file = format!("grants/{task}.toml");
        let text = std::fs::read_to_string(warehouse.world.path(&file)).unwrap();
        let text = text.replace("timeout = \"20s\"", &format!("timeout = \"{timeout}\""));
        warehouse.world.write(&file, &text).unwrap();
    };
    // As a user that is revoked, and as one that stays: for that one only the
    // cancellation helps.
    for credential in [DYNAMIC, FIXED] {
        limits("late", credential, "2s");
        let input = steps(json!([{"execute": {"sql": LONG}}]), Value::Null);
        let run = warehouse.world.run("late").input(input.clone());
        let child = run.command().spawn().unwrap();
        busy(&warehouse).await;
        let finished = ended(child);
        assert_eq!(finished.code, 5, "{finished:?}");
        idle(&warehouse, Duration::from_millis(300)).await;
        assert_eq!(warehouse.sessions().await, 0, "{credential}");

        limits("cancelled", credential, "1m");
        let run = warehouse.world.run("cancelled").input(input);
        let child = run.command().spawn().unwrap();
        busy(&warehouse).await;
        signal(&child, Signal::TERM);
        let finished = ended(child);
        assert_eq!(finished.code, 130, "{finished:?}");
        idle(&warehouse, Duration::from_millis(300)).await;
        assert_eq!(warehouse.sessions().await, 0, "{credential}");

        // Half read, with more to come than any buffer holds.
        let input = steps(
            json!([
                {"query": {"sql": "SELECT a.body FROM notes a, notes b, notes c", "keep": true}},
                {"read_kept": {"rows": 10}},
            ]),
            json!({"do": "trap"}),
        );
        let finished = warehouse
            .world
            .run("cancelled")
            .input(input)
            .finish()
            .unwrap();
        assert_eq!(finished.code, 6, "{finished:?}");
        idle(&warehouse, Duration::from_millis(300)).await;
        assert_eq!(warehouse.sessions().await, 0, "{credential}");
    }
    warehouse.nothing_is_left().await;
}

#[tokio::test]
async fn a_killed_host_leaves_no_statement_and_a_sweep_ends_its_user() {
    let warehouse = start().await;
    warehouse.grant(
        "killed",
        DYNAMIC,
        EVERYTHING,
        "statement_timeout = \"1h\"\n",
    );
    let input = steps(json!([{"execute": {"sql": LONG}}]), Value::Null);
    let run = warehouse.world.run("killed").input(input);
    let mut child = run.command().spawn().unwrap();
    busy(&warehouse).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        warehouse.users().await.len(),
        1,
        "the kill ended it by itself"
    );
    // The server looks after its client once a second.
    idle(&warehouse, Duration::from_secs(5)).await;

    let (code, report) = sweep(&warehouse.world);
    assert_eq!(code, 0, "{report}");
    let leases = &report["found"][0]["leases"];
    assert_eq!(*leases, json!({"revoked": 1, "left": 0}), "{report}");
    assert_eq!(warehouse.users().await, Vec::<String>::new());
    warehouse.nothing_is_left().await;
}

#[tokio::test]
async fn a_database_that_dies_in_mid_run_and_comes_back() {
    let mut warehouse = start().await;
    // Dies before the end, so that nothing can be revoked: report, journal and
    // exit code say so, and a sweep makes it good.
    let input = steps(
        json!([
            {"query": {"sql": "SELECT 1"}},
            {"sleep": {"ms": 1500}},
            {"query": {"sql": "SELECT 1"}},
        ]),
        Value::Null,
    );
    let run = warehouse.world.run("load").input(input.clone());
    let child = run.command().spawn().unwrap();
    let start = Instant::now();
    while warehouse.sessions().await == 0 {
        assert!(start.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    warehouse.postgres.kill().unwrap();
    let finished = ended(child);
    assert_eq!(finished.code, 7, "{finished:?}");
    let report = finished.report().unwrap();
    assert_eq!(report["result"][2]["error"], "connection", "{report}");
    assert_eq!(
        report["revocation"]["leases"],
        json!({"revoked": 0, "left": 1})
    );
    assert_eq!(journal(&warehouse.world).len(), 1);
    let (code, report) = sweep(&warehouse.world);
    assert_ne!(code, 0, "{report}");

    warehouse.postgres.start_again().unwrap();
    assert_eq!(warehouse.users().await.len(), 1);
    let (code, report) = sweep(&warehouse.world);
    assert_eq!(code, 0, "{report}");
    until("the journal is empty", || {
        journal(&warehouse.world).is_empty()
    });
    warehouse.nothing_is_left().await;

    // Back before the next statement: that one has a new connection.
    let run = warehouse.world.run("load").input(input);
    let child = run.command().spawn().unwrap();
    let start = Instant::now();
    while warehouse.sessions().await == 0 {
        assert!(start.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    warehouse.postgres.stop().unwrap();
    warehouse.postgres.start_again().unwrap();
    let finished = ended(child);
    assert_eq!(finished.code, 0, "{finished:?}");
    let result = finished.result().unwrap();
    assert_eq!(result[2]["rows"], json!([[1]]), "{result}");
    warehouse.nothing_is_left().await;
}

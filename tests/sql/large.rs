//! Much data in little memory.

use std::process::Child;
use std::time::Duration;

use cofferdam_devkit::world::Finished;
use serde_json::{Value, json};

use super::world::{DYNAMIC, EVERYTHING, Warehouse};
use crate::common::ended;

const ROWS: u64 = 1_000_000;

/// The most memory that a process had, in KiB.
fn peak(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

/// A run and its peak.
fn measured(warehouse: &Warehouse, steps: Value) -> (Finished, u64) {
    let input = json!({"do": "sql", "grant": "db", "steps": steps});
    let run = warehouse.world.run("much").input(input);
    let mut child = run.command().spawn().unwrap();
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(peak(&child));
        std::thread::sleep(Duration::from_millis(20));
    }
    (ended(child), most)
}

#[tokio::test]
async fn a_million_rows_pass_through_in_bounded_memory() {
    let warehouse = Warehouse::start().await;
    warehouse
        .postgres
        .ask("INSERT INTO notes SELECT n, repeat('x', 90) FROM generate_series(1, 1000000) n")
        .await
        .unwrap();
    let rest = "max_bytes = \"1GiB\"\nmax_rows = 1000000\nstatement_timeout = \"5m\"\n";
    warehouse.grant("much", DYNAMIC, EVERYTHING, rest);
    let file = "grants/much.toml";
    let text = std::fs::read_to_string(warehouse.world.path(file)).unwrap();
    let text = text.replace("timeout = \"20s\"", "timeout = \"5m\"");
    warehouse.world.write(file, &text).unwrap();

    let one = json!([{"query": {"sql": "SELECT id, body FROM notes WHERE id = 1", "count": true}}]);
    // The first run compiles the guest, which takes more memory than any row.
    measured(&warehouse, one.clone());
    let (finished, idle) = measured(&warehouse, one);
    assert_eq!(finished.result().unwrap(), json!([{"rows": 1}]));
    let line = "x".repeat(90) + "\n";
    for (what, step, answer) in [
        (
            "rows",
            json!({"query": {"sql": "SELECT id, body FROM notes", "count": true}}),
            json!({"rows": ROWS}),
        ),
        (
            "copy out",
            json!({"copy_out": {"sql": "COPY notes (body) TO STDOUT", "count": true}}),
            json!({"bytes": 91 * ROWS, "text": ""}),
        ),
        (
            "copy in",
            json!({"copy_in": {
                "sql": "COPY orders (customer) FROM STDIN",
                "chunks": [line.repeat(1_000)], "times": ROWS / 1_000,
            }}),
            json!({"rows": ROWS}),
        ),
    ] {
        let (finished, most) = measured(&warehouse, json!([step]));
        assert_eq!(
            finished.result().unwrap(),
            json!([answer]),
            "{what}: {finished:?}"
        );
        assert!(idle > 0 && most > 0, "{what}: the peak was not read");
        let over = most.saturating_sub(idle) / 1_024;
        assert!(
            over < 64,
            "{what}: {over} MiB over the {} of one row",
            idle / 1_024
        );
    }
    assert_eq!(
        warehouse.one("SELECT count(*) FROM orders").await,
        ROWS.to_string()
    );
    warehouse.nothing_is_left().await;
}

#[tokio::test]
async fn a_row_is_held_whole_and_has_a_bound_of_its_own() {
    let warehouse = Warehouse::start().await;
    // Far above what one row may have.
    let rest = "max_bytes = \"1GiB\"\n";
    warehouse.grant("much", DYNAMIC, EVERYTHING, rest);
    let row = |mib: u32| {
        let sql = format!("SELECT repeat('x', {mib} * 1024 * 1024)");
        json!([{"query": {"sql": sql, "count": true}}])
    };
    measured(&warehouse, row(0));
    let (finished, idle) = measured(&warehouse, row(0));
    assert_eq!(finished.result().unwrap(), json!([{"rows": 1}]));
    let (finished, most) = measured(&warehouse, row(31));
    assert_eq!(
        finished.result().unwrap(),
        json!([{"rows": 1}]),
        "{finished:?}"
    );
    let over = most.saturating_sub(idle) / 1_024;
    // 125 when it was written into docs/SQL.md; the task's own copy is one of them.
    assert!((31..160).contains(&over), "{over} MiB");
    let copy = |mib: u32| {
        let sql = format!("COPY (SELECT repeat('x', {mib} * 1024 * 1024)) TO STDOUT");
        json!([{"copy_out": {"sql": sql, "count": true}}])
    };
    let (finished, _) = measured(&warehouse, copy(31));
    let bytes = 31 * 1_024 * 1_024 + 1;
    assert_eq!(finished.result().unwrap()[0]["bytes"], bytes);
    for longer in [row(33), copy(33)] {
        let (finished, most) = measured(&warehouse, longer);
        let answers = finished.result().unwrap();
        assert_eq!(answers[0]["error"], "too-large", "{answers}");
        let over = most.saturating_sub(idle) / 1_024;
        assert!(over < 31, "{over} MiB: it was taken in");
    }
    warehouse.nothing_is_left().await;
}

//! Connections that a task lets go of in an odd order.

use std::time::{Duration, Instant};

use cofferdam_devkit::postgres::Postgres;
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use super::world::{EVERYTHING, FIXED, Warehouse};
use crate::common::{SOON, ended};

/// A cursor outlives its connection: the session is nobody's then, but the
/// server has it still.
#[tokio::test]
async fn a_connection_that_is_let_go_before_its_cursor_counts_until_it_is_closed() {
    let warehouse = Warehouse::start().await;
    // As a user that stays: no role limits how often it may connect.
    warehouse.grant("odd", FIXED, EVERYTHING, "");
    let postgres = &warehouse.postgres;
    postgres
        .ask("INSERT INTO notes SELECT n, repeat('x', 1000) FROM generate_series(1, 20000) n")
        .await
        .unwrap();
    let config = postgres.config(Postgres::SUPERUSER, postgres.password());
    let (gate, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let shut = "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE";
    gate.batch_execute(shut).await.unwrap();

    let large = json!({"query": {"sql": "SELECT id, body FROM notes", "keep": true}});
    let small = json!({"query": {"sql": "SELECT id FROM notes WHERE id = 1", "keep": true}});
    let mut steps = Vec::new();
    for _ in 0..3 {
        // Not read to its end, and read to its end without a connection.
        steps.extend([
            large.clone(),
            json!({"close": {}}),
            json!({"drop_kept": {}}),
        ]);
        steps.push(json!({"open": {}}));
        steps.extend([small.clone(), json!({"close": {}})]);
        steps.extend([
            json!({"read_kept": {"rows": 5}}),
            json!({"read_kept": {"rows": 5}}),
        ]);
        steps.extend([json!({"drop_kept": {}}), json!({"open": {}})]);
        // And a transaction.
        steps.extend([json!({"begin": {}}), json!({"close": {}})]);
        steps.extend([json!({"drop_transaction": {}}), json!({"open": {}})]);
    }
    steps.push(json!({"query": {"sql": "SELECT id FROM orders"}}));
    let input = json!({"do": "sql", "grant": "db", "steps": steps});
    let child = warehouse.world.run("odd").input(input).command().spawn();
    let start = Instant::now();
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    while warehouse.one(waits).await != "1" {
        assert!(start.elapsed() < SOON, "it does not come to its last step");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // One that was closed is a moment in going.
    let start = Instant::now();
    while warehouse.sessions().await != 1 {
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "{} sessions of a grant with one connection",
            warehouse.sessions().await
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    gate.batch_execute("ROLLBACK").await.unwrap();
    let finished = ended(child.unwrap());
    let answers = finished.result().unwrap();
    let answers = answers.as_array().unwrap();
    assert!(
        answers.iter().all(|it| it["error"] == Value::Null),
        "{answers:?}"
    );
    warehouse.nothing_is_left().await;
}

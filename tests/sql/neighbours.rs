//! Attempts beside each other.

use std::time::{Duration, Instant};

use cofferdam_devkit::postgres::Postgres;
use serde_json::json;
use tokio_postgres::NoTls;

use super::world::Warehouse;
use crate::common::{SOON, ended};

#[tokio::test]
async fn twenty_attempts_have_twenty_users() {
    let warehouse = Warehouse::start().await;
    // One compiles the task, so that twenty do not do the same.
    let first = json!([{"query": {"sql": "SELECT id FROM notes"}}]);
    assert_eq!(warehouse.run("load", first).code, 0);
    // The database writes down who it was.
    let signs = "ALTER TABLE notes ALTER body SET DEFAULT current_user";
    warehouse.postgres.ask(signs).await.unwrap();
    // All of them stand before this lock at the same time.
    let postgres = &warehouse.postgres;
    let config = postgres.config(Postgres::SUPERUSER, postgres.password());
    let (gate, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let shut = "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE";
    gate.batch_execute(shut).await.unwrap();
    let children: Vec<_> = (0..20)
        .map(|number| {
            let input = json!({"do": "sql", "grant": "db", "steps": [
                {"query": {"sql": "INSERT INTO notes (id) VALUES ($1) RETURNING body",
                           "params": [{"int32": number}]}},
                {"query": {"sql": "SELECT id FROM orders"}},
                {"query": {"sql": "INSERT INTO notes (id) VALUES ($1) RETURNING body",
                           "params": [{"int32": number + 100}]}},
            ]});
            let run = warehouse.world.run("load").input(input);
            run.command().spawn().unwrap()
        })
        .collect();
    let start = Instant::now();
    loop {
        let (waiting, users) = (warehouse.running().await, warehouse.users().await);
        if waiting.len() == 20 {
            assert_eq!(users.len(), 20, "each has its own: {users:?}");
            break;
        }
        assert!(start.elapsed() < SOON, "only {} wait", waiting.len());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    gate.batch_execute("COMMIT").await.unwrap();
    let mut users = Vec::new();
    for child in children {
        let finished = ended(child);
        assert_eq!(finished.code, 0, "{finished:?}");
        let answers = finished.result().unwrap();
        assert_eq!(answers[0], answers[2], "{answers}");
        users.push(answers[0]["rows"][0][0].as_str().unwrap().to_owned());
    }
    users.sort_unstable();
    users.dedup();
    assert_eq!(users.len(), 20);
    let wrote = "SELECT count(DISTINCT body) FROM notes WHERE body LIKE 'v-%'";
    assert_eq!(warehouse.one(wrote).await, "20");
    warehouse.nothing_is_left().await;
}

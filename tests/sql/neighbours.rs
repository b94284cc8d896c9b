//! Attempts beside each other.

use serde_json::json;

use super::world::Warehouse;
use crate::common::ended;

#[tokio::test]
async fn twenty_attempts_have_twenty_users() {
    let warehouse = Warehouse::start().await;
    // The database writes down who it was.
    let signs = "ALTER TABLE notes ALTER body SET DEFAULT current_user";
    warehouse.postgres.ask(signs).await.unwrap();
    let children: Vec<_> = (0..20)
        .map(|number| {
            let input = json!({"do": "sql", "grant": "db", "steps": [
                {"query": {"sql": "INSERT INTO notes (id) VALUES ($1) RETURNING body",
                           "params": [{"int32": number}]}},
                {"query": {"sql": "SELECT 1"}},
                {"query": {"sql": "INSERT INTO notes (id) VALUES ($1) RETURNING body",
                           "params": [{"int32": number + 100}]}},
            ]});
            let run = warehouse.world.run("load").input(input);
            run.command().spawn().unwrap()
        })
        .collect();
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

//! The rights that a statement needs, of the grant and of PostgreSQL.

use serde_json::{Value, json};

use super::world::{DYNAMIC, EVERYTHING, Warehouse};

fn query(sql: &str) -> Value {
    json!({"query": {"sql": sql}})
}

#[tokio::test]
async fn functions_and_types_of_other_schemas_are_granted_with_the_role() {
    let warehouse = Warehouse::start().await;
    let postgres = &warehouse.postgres;
    // As docs/SQL.md tells the owner of the database.
    postgres
        .ask(
            "CREATE SCHEMA tools; CREATE SCHEMA kinds; \
             CREATE FUNCTION tools.twice(n int) RETURNS int LANGUAGE sql AS 'SELECT n * 2'; \
             REVOKE EXECUTE ON FUNCTION tools.twice FROM PUBLIC; \
             CREATE TYPE kinds.state AS ENUM ('open', 'paid'); \
             ALTER TABLE orders ADD state kinds.state DEFAULT 'open'",
        )
        .await
        .unwrap();
    let scope = format!("{EVERYTHING}functions = [\"tools.twice\"]\ntypes = [\"kinds.state\"]\n");
    let own = DYNAMIC.replace("writer", "tooled");
    warehouse.grant("tooled", &own, &scope, "");
    warehouse.role("tooled").await;
    let steps = json!([
        query(
            "INSERT INTO orders (customer, state) VALUES ('Ada', 'paid'::kinds.state) RETURNING state"
        ),
        query(
            "SELECT tools.twice(21), customer FROM orders WHERE state = CAST('paid' AS kinds.state)"
        ),
    ]);

    // What Vault's user may not hand on, nobody gets.
    let answers = warehouse.steps("tooled", steps.clone());
    assert_eq!(answers[0]["error"], "denied", "{answers}");
    assert_eq!(warehouse.users().await, Vec::<String>::new());
    let owners = "GRANT USAGE ON SCHEMA tools, kinds TO vault WITH GRANT OPTION; \
                  GRANT EXECUTE ON FUNCTION tools.twice TO vault WITH GRANT OPTION";
    postgres.ask(owners).await.unwrap();

    let answers = warehouse.steps("tooled", steps.clone());
    assert_eq!(answers[0]["rows"], json!([["paid"]]), "{answers}");
    assert_eq!(answers[1]["rows"], json!([[42, "Ada"]]), "{answers}");
    assert_eq!(warehouse.users().await, Vec::<String>::new());

    // The control: with the gate's word alone, PostgreSQL refuses.
    warehouse.grant("worded", DYNAMIC, &scope, "");
    let answers = warehouse.steps("worded", steps.clone());
    for step in [0, 1] {
        assert_eq!(answers[step]["sqlstate"], "42501", "{answers}");
    }
    // And without it, the gate does.
    warehouse.grant("unworded", &own, EVERYTHING, "");
    let answers = warehouse.steps("unworded", steps);
    for step in [0, 1] {
        assert_eq!(answers[step]["kind"], "out-of-scope", "{answers}");
    }
    warehouse.nothing_is_left().await;
}

/// What docs/SQL.md says beside the table of statements.
#[tokio::test]
async fn a_statement_that_looks_at_columns_needs_select() {
    let warehouse = Warehouse::start().await;
    warehouse
        .postgres
        .ask("INSERT INTO notes VALUES (1, 'x'), (2, 'y')")
        .await
        .unwrap();
    // Each pair changes as much; the second of it looks.
    let blind = [
        "INSERT INTO notes VALUES (1, 'z') ON CONFLICT DO NOTHING",
        "UPDATE notes SET body = 'z'",
        "DELETE FROM notes",
    ];
    let looking = [
        "INSERT INTO notes VALUES (1, 'z') ON CONFLICT (id) DO NOTHING",
        "INSERT INTO notes VALUES (1, 'z') ON CONFLICT (id) DO UPDATE SET body = 'z'",
        "UPDATE notes SET body = 'z' WHERE id = 1",
        "UPDATE notes SET body = body || 'z'",
        "MERGE INTO notes USING (VALUES (1)) AS v (id) ON notes.id = v.id \
         WHEN MATCHED THEN UPDATE SET body = 'z'",
        "DELETE FROM notes WHERE id = 1",
    ];
    let execute = |sql: &&str| json!({"execute": {"sql": sql}});
    let all: Vec<Value> = looking.iter().chain(&blind).map(execute).collect();
    for (task, select) in [("writes", ""), ("reads", ", \"select\"")] {
        let own = DYNAMIC.replace("writer", task);
        let scope = format!(
            "allow = [\"insert\", \"update\", \"delete\", \"merge\"{select}]\n\
             tables = [\"public.notes\"]\n"
        );
        warehouse.grant(task, &own, &scope, "");
        warehouse.role(task).await;
        let answers = warehouse.steps(task, json!(all));
        let answers = answers.as_array().unwrap();
        for (answer, sql) in answers.iter().zip(looking.iter().chain(&blind)) {
            if select.is_empty() && looking.contains(sql) {
                assert_eq!(answer["sqlstate"], "42501", "{sql}: {answer}");
            } else {
                assert!(answer["rows"].is_u64(), "{task}: {sql}: {answer}");
            }
        }
        assert_eq!(warehouse.one("SELECT count(*) FROM notes").await, "0");
        let again = "INSERT INTO notes VALUES (1, 'x'), (2, 'y')";
        warehouse.postgres.ask(again).await.unwrap();
    }
    warehouse.nothing_is_left().await;
}

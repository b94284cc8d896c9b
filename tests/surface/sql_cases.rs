//! The cases of `sql`, against a real database whose rows hold the very password
//! that the host shows it.

use serde_json::{Value, json};

use super::hunt;
use crate::common::TOKEN;
use crate::sql::world::{EVERYTHING, FIXED, Warehouse};

/// One run and the functions that it shows.
struct Case {
    functions: &'static [&'static str],
    /// What the guest does on one connection.
    steps: Value,
    /// What comes of the last step.
    answered: Value,
}

/// The password in a row, as the task sees it.
const SCRUBBED: &str = "before [redacted] after";

fn cases() -> Vec<Case> {
    let rows = json!([[1, SCRUBBED]]);
    let columns = json!([["id", "DataType::Int32"], ["body", "DataType::Text"]]);
    vec![
        Case {
            functions: &[
                "sql#open",
                "sql#[method]connection.query",
                "sql#[method]cursor.columns",
                "sql#[method]cursor.read",
            ],
            steps: json!([{"query": {"sql": "SELECT id, body FROM notes"}}]),
            answered: json!({"columns": columns, "rows": rows}),
        },
        Case {
            functions: &["sql#[method]connection.execute"],
            steps: json!([{"execute": {"sql": "UPDATE notes SET body = body"}}]),
            answered: json!({"rows": 1}),
        },
        Case {
            functions: &[
                "sql#[method]connection.copy-out",
                "sql#[method]copy-reader.read",
            ],
            steps: json!([{"copy_out": {"sql": "COPY notes TO STDOUT", "max": 5}}]),
            answered: json!({"bytes": 26, "text": format!("1\t{SCRUBBED}\n")}),
        },
        Case {
            functions: &[
                "sql#[method]connection.copy-in",
                "sql#[method]copy-writer.write",
                "sql#[method]copy-writer.finish",
            ],
            steps: json!([{"copy_in": {"sql": "COPY orders (customer, amount) FROM STDIN",
                                       "chunks": ["a\t1\n", "b\t2\n"]}}]),
            answered: json!({"rows": 2}),
        },
        Case {
            functions: &[
                "sql#[method]connection.begin",
                "sql#[method]transaction.commit",
            ],
            steps: json!([{"begin": {}}, {"commit": {}}]),
            answered: json!("committed"),
        },
        Case {
            functions: &[
                "sql#[method]connection.begin",
                "sql#[method]transaction.rollback",
            ],
            steps: json!([{"begin": {}}, {"rollback": {}}]),
            answered: json!("rolled back"),
        },
    ]
}

/// Runs every case; the functions that they show.
pub(super) async fn covered() -> Vec<String> {
    let warehouse = Warehouse::start().await;
    warehouse.grant("surface", FIXED, EVERYTHING, "show_messages = true\n");
    // Positive control: the password is in what the database answers, so that
    // it is the host that keeps it from the task.
    warehouse
        .postgres
        .ask(&format!(
            "INSERT INTO notes VALUES (1, 'before {TOKEN} after')"
        ))
        .await
        .unwrap();
    assert!(
        warehouse
            .one("SELECT body FROM notes")
            .await
            .contains(TOKEN)
    );
    let mut covered = Vec::new();
    for Case {
        functions,
        steps,
        answered,
    } in cases()
    {
        let finished = warehouse.run("surface", steps.clone());
        assert_eq!(finished.code, 0, "{steps}: {finished:?}");
        let result = finished.result().unwrap();
        let last = result.as_array().and_then(|answers| answers.last());
        assert_eq!(last, Some(&answered), "{steps}: {result}");
        hunt(&finished);
        covered.extend(functions.iter().map(|&name| name.to_owned()));
    }
    assert!(
        warehouse
            .one("SELECT body FROM notes")
            .await
            .contains(TOKEN)
    );
    warehouse.nothing_is_left().await;
    covered
}

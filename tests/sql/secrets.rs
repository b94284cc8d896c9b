//! The password goes to the database, and nowhere else.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use cofferdam_devkit::canary::{Canary, Hunt};
use serde_json::json;

use super::world::{EVERYTHING, FIXED, REPORTER, Warehouse};
use crate::common::TOKEN;

#[tokio::test]
async fn what_the_database_tells_of_the_password_is_scrubbed() {
    let warehouse = Warehouse::start().await;
    let rest = "show_messages = true\naudit_text = true\n";
    warehouse.grant("told", FIXED, EVERYTHING, rest);
    let forms = Canary::of(TOKEN).forms();
    // In every spelling that is text; a base64 of it is one as well.
    let mut bodies: Vec<String> = forms
        .into_iter()
        // Backwards is what no scrubber looks for; SECURITY.md says so. The
        // base64 of a canary is the part that is sure to stand in a longer one.
        .filter(|(form, _)| form != "reversed" && !form.starts_with("base64"))
        .filter_map(|(_, bytes)| String::from_utf8(bytes).ok())
        .collect();
    bodies.extend([
        BASE64_STANDARD.encode(TOKEN),
        BASE64_URL_SAFE.encode(format!("user:{TOKEN}")),
        format!("before {TOKEN} after"),
    ]);
    for (number, body) in bodies.iter().enumerate() {
        let body = body.replace('\'', "''");
        warehouse
            .postgres
            .ask(&format!("INSERT INTO notes VALUES ({number}, '{body}')"))
            .await
            .unwrap();
    }
    let signs = "ALTER TABLE orders ALTER customer SET DEFAULT current_user";
    warehouse.postgres.ask(signs).await.unwrap();
    // A message of the server's own that holds it.
    warehouse
        .postgres
        .ask(&format!(
            "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'it is {TOKEN}'; END $$; \
             CREATE TRIGGER tells BEFORE DELETE ON notes EXECUTE FUNCTION tell()"
        ))
        .await
        .unwrap();
    let finished = warehouse.run(
        "told",
        json!([
            {"query": {"sql": "SELECT body FROM notes ORDER BY id"}},
            {"query": {"sql": "SELECT body::bytea AS b FROM notes WHERE body LIKE 'before%'"}},
            {"query": {"sql": "SELECT ARRAY[body, 'x'] AS list, to_jsonb(body) AS j FROM notes WHERE body LIKE 'before%'"}},
            {"copy_out": {"sql": "COPY notes TO STDOUT", "max": 5}},
            {"execute": {"sql": "DELETE FROM notes"}},
            {"query": {"sql": "INSERT INTO orders (amount) VALUES (1) RETURNING customer"}},
        ]),
    );
    let answers = finished.result().unwrap();
    let rows = answers[0]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), bodies.len());
    for row in rows {
        assert!(row[0].as_str().unwrap().contains("[redacted]"), "{row}");
    }
    assert_eq!(
        answers[2]["rows"][0][0][0], "before [redacted] after",
        "{answers}"
    );
    assert_eq!(answers[2]["rows"][0][1], "\"before [redacted] after\"");
    let copied = answers[3]["text"].as_str().unwrap();
    assert_eq!(
        copied.matches("[redacted]").count(),
        bodies.len(),
        "{copied}"
    );
    assert_eq!(answers[4]["message"], "it is [redacted]", "{answers}");
    // Positive control: it was this user's password that was used.
    assert_eq!(answers[5]["rows"], json!([[REPORTER]]), "{answers}");

    let mut hunt = Hunt::new(&Canary::of(TOKEN));
    hunt.bytes("stdout", finished.stdout.as_bytes());
    hunt.bytes("stderr", finished.stderr.as_bytes());
    hunt.folder(warehouse.world.folder()).unwrap();
    hunt.finish().unwrap();
}

#[tokio::test]
async fn a_statement_cannot_be_made_to_carry_it_into_the_audit() {
    let warehouse = Warehouse::start().await;
    warehouse.grant("told", FIXED, EVERYTHING, "audit_text = true\n");
    // A task that guessed it (or was told by somebody) spells it in a statement.
    let finished = warehouse.run(
        "told",
        json!([
            {"query": {"sql": "SELECT 1"}},
            {"query": {"sql": format!("SELECT '{TOKEN}' AS guess")}},
            {"query": {"sql": format!("SELECT nonsense FROM {TOKEN}")}},
        ]),
    );
    assert_eq!(
        finished.result().unwrap()[1]["rows"],
        json!([["[redacted]"]])
    );
    let intents = warehouse.audit(&["intent"]);
    let texts: Vec<_> = intents
        .iter()
        .filter_map(|line| line["statement"]["text"].as_str())
        .collect();
    assert!(texts.contains(&"SELECT '[redacted]' AS guess"), "{texts:?}");
    let mut hunt = Hunt::new(&Canary::of(TOKEN));
    hunt.bytes("stdout", finished.stdout.as_bytes());
    hunt.bytes("stderr", finished.stderr.as_bytes());
    hunt.folder(warehouse.world.folder()).unwrap();
    hunt.finish().unwrap();
}

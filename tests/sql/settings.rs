//! What is set for a user or a database changes nothing of the host's sessions.

use serde_json::{Value, json};
use tokio_postgres::NoTls;

use super::world::{FIXED, REPORTER, Warehouse};
use crate::common::TOKEN;

/// A setting, what somebody makes of it, and what the host's sessions have.
const PINNED: [(&str, &str, &str); 12] = [
    ("search_path", "evil", "\"public\""),
    ("statement_timeout", "0", "7s"),
    ("standard_conforming_strings", "off", "on"),
    ("DateStyle", "SQL, DMY", "ISO, MDY"),
    ("IntervalStyle", "iso_8601", "postgres"),
    ("array_nulls", "off", "on"),
    ("transform_null_equals", "on", "off"),
    ("TimeZone", "Asia/Tokyo", "UTC"),
    ("bytea_output", "escape", "hex"),
    ("default_transaction_read_only", "off", "on"),
    ("client_encoding", "LATIN1", "UTF8"),
    ("client_connection_check_interval", "0", "1s"),
];

/// The settings as a session has them.
fn asked() -> String {
    let asked = PINNED.map(|(name, _, _)| format!("current_setting('{name}')"));
    format!("SELECT {}", asked.join(", "))
}

#[tokio::test]
async fn what_is_set_for_a_user_or_a_database_changes_nothing() {
    let warehouse = Warehouse::start().await;
    let postgres = &warehouse.postgres;
    postgres
        .ask(&format!(
            "INSERT INTO notes VALUES (1, 'of the grant'); \
             CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO {REPORTER}; \
             CREATE TABLE evil.notes (id int, body text); \
             INSERT INTO evil.notes VALUES (1, 'evil'); \
             GRANT SELECT ON evil.notes TO {REPORTER}"
        ))
        .await
        .unwrap();
    let scope = "allow = [\"select\", \"copy_out\"]\ntables = [\"public.notes\"]\n\
                 functions = [\"current_setting\"]\nstatement_timeout = \"7s\"\n";
    warehouse.grant("reads", FIXED, scope, "");
    let steps = json!([
        {"query": {"sql": asked()}},
        {"query": {"sql": "SELECT body, '2026-02-01'::date::text, 'a\\b', \
                           '2026-02-01T00:00Z'::timestamptz::text FROM notes"}},
        {"copy_out": {"sql": "COPY (SELECT '\\xff'::bytea FROM notes) TO STDOUT"}},
    ]);
    let pinned = PINNED.map(|(_, _, pinned)| pinned);

    for of in [
        format!("ROLE {REPORTER}"),
        format!("DATABASE {}", postgres.database()),
        format!("ROLE {REPORTER} IN DATABASE {}", postgres.database()),
    ] {
        for (name, value, _) in PINNED {
            let list = value.replace(", ", "', '");
            let set = format!("ALTER {of} SET {name} = '{list}'");
            postgres.ask(&set).await.unwrap();
        }
        // The control: any other session of this user has it so.
        let config = postgres.config(REPORTER, TOKEN);
        let (client, connection) = config.clone().connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        let body = client.query_one("SELECT body FROM notes", &[]).await;
        assert_eq!(body.unwrap().get::<_, String>(0), "evil", "{of}");
        let row = client.query_one(&asked(), &[]).await.unwrap();
        for (at, (name, value, pinned)) in PINNED.iter().enumerate() {
            // The driver itself asks for UTF-8.
            let value = if *name == "client_encoding" {
                pinned
            } else {
                value
            };
            assert_eq!(row.get::<_, &str>(at), *value, "{of}: {name}");
        }
        drop(client);

        let answers = warehouse.steps("reads", steps.clone());
        assert_eq!(answers[0]["rows"], json!([pinned]), "{of}: {answers}");
        let rows: &Value = &answers[1]["rows"];
        assert_eq!(
            *rows,
            json!([[
                "of the grant",
                "2026-02-01",
                "a\\b",
                "2026-02-01 00:00:00+00"
            ]]),
            "{of}"
        );
        assert_eq!(answers[2]["text"], "\\\\xff\n", "{of}: {answers}");
        postgres
            .ask(&format!("ALTER {of} RESET ALL"))
            .await
            .unwrap();
    }
}

/// A user whose sessions become another role: the audit would name the wrong one.
#[tokio::test]
async fn nobody_else_acts_under_the_users_name() {
    let warehouse = Warehouse::start().await;
    let postgres = &warehouse.postgres;
    postgres
        .ask(&format!(
            "CREATE ROLE others; GRANT others TO {REPORTER}; GRANT SELECT ON notes TO others; \
             ALTER ROLE {REPORTER} SET role = 'others'"
        ))
        .await
        .unwrap();
    let scope = "allow = [\"select\"]\ntables = [\"public.notes\"]\n\
                 functions = [\"current_setting\"]\n";
    warehouse.grant("acts", FIXED, scope, "");
    let who = "SELECT current_setting('role')";
    // The control.
    let config = postgres.config(REPORTER, TOKEN);
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let row = client.query_one(who, &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "others");

    let answers = warehouse.steps("acts", json!([{"query": {"sql": who}}]));
    assert_eq!(answers[0]["rows"], json!([["none"]]), "{answers}");
}

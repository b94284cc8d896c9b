//! The password goes to the database, and nowhere else.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use cofferdam_devkit::canary::{Canary, Hunt};
use cofferdam_devkit::proxy::Proxy;
use serde_json::{Value, json};

use super::world::{DYNAMIC, EVERYTHING, FIXED, REPORTER, Warehouse};
use crate::common::TOKEN;
use crate::leaks::traces::Traces;

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
    // A column that is named by it, and whose default holds it.
    let column = format!("ALTER TABLE orders ADD \"{TOKEN}\" text DEFAULT 'it was {TOKEN}'");
    warehouse.postgres.ask(&column).await.unwrap();
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
            {"query": {"sql": "INSERT INTO orders (amount) VALUES (2) RETURNING *"}},
            {"copy_out": {"sql": "COPY orders TO STDOUT (FORMAT csv, HEADER)"}},
        ]),
    );
    let answers = finished.result().unwrap();
    let rows = answers[0]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), bodies.len());
    for row in rows {
        assert!(row[0].as_str().unwrap().contains("[redacted]"), "{row}");
    }
    let bytes = BASE64_STANDARD.encode("before [redacted] after");
    assert_eq!(
        answers[1],
        json!({"columns": [["b", "DataType::Bytes"]], "rows": [[bytes]]}),
        "{answers}"
    );
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
    assert_eq!(
        answers[6]["columns"][4],
        json!(["[redacted]", "DataType::Text"]),
        "{answers}"
    );
    assert_eq!(answers[6]["rows"][0][4], "it was [redacted]", "{answers}");
    let copied = answers[7]["text"].as_str().unwrap();
    assert!(
        copied.starts_with("id,customer,amount,placed,[redacted]\n"),
        "{copied}"
    );
    assert_eq!(copied.matches("it was [redacted]").count(), 2, "{copied}");
    // The control: in the database it is there, in both places.
    let names = format!(
        "SELECT attname || ' ' || \"{TOKEN}\" FROM orders, pg_attribute \
         WHERE attrelid = 'orders'::regclass AND attnum = 5 LIMIT 1"
    );
    assert_eq!(
        warehouse.one(&names).await,
        format!("{TOKEN} it was {TOKEN}")
    );

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

/// The password of a user whom Vault made for the attempt: nobody but Vault, the
/// host and the database ever has it.
#[tokio::test]
async fn a_leased_password_is_written_nowhere() {
    let warehouse = Warehouse::start().await;
    let (world, postgres) = (&warehouse.world, &warehouse.postgres);
    let vault = Proxy::start(warehouse.bao().socket()).unwrap();
    world.vault_at(&vault.address()).unwrap();
    let rest = "show_messages = true\naudit_text = true\nmax_connections = 2\n";
    warehouse.grant("told", DYNAMIC, EVERYTHING, rest);
    postgres
        .ask(
            "ALTER TABLE orders ALTER customer SET DEFAULT current_user; \
             CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'it is %', current_user; END $$; \
             CREATE TRIGGER tells BEFORE DELETE ON notes EXECUTE FUNCTION tell()",
        )
        .await
        .unwrap();
    let steps = json!([
        {"query": {"sql": "INSERT INTO orders (amount) VALUES ($1) RETURNING customer",
                   "params": [{"numeric": "1"}]}},
        {"execute": {"sql": "INSERT INTO notes VALUES (1, 'x')"}},
        {"execute": {"sql": "DELETE FROM notes"}},
        {"begin": {}},
        {"execute": {"sql": "UPDATE notes SET body = 'y'"}},
        {"rollback": {}},
        {"begin": {"serializable": true}},
        {"query": {"sql": "SELECT missing FROM notes"}},
        {"commit": {}},
        {"copy_in": {"sql": "COPY notes FROM STDIN", "chunks": ["2\tx\n"]}},
        {"copy_in": {"sql": "COPY notes FROM STDIN", "chunks": ["nonsense\n"]}},
        {"copy_out": {"sql": "COPY notes TO STDOUT"}},
        {"query": {"sql": "SELECT name FROM salaries"}},
        {"query": {"sql": "SELECT id FROM notes", "keep": true}},
        {"open": {}},
        {"query": {"sql": "SELECT 1"}},
    ]);
    let runs = [
        ("json", Value::Null),
        ("text", json!({"do": "echo", "value": 1})),
        ("json", json!({"do": "panic", "message": "oh"})),
    ];
    let mut outputs = Vec::new();
    for (at, (format, then)) in runs.iter().enumerate() {
        postgres.ask("TRUNCATE notes").await.unwrap();
        let input = json!({"do": "sql", "grant": "db", "steps": steps, "then": then});
        let mut command =
            world.command(&["--format", format, "--log-level", "trace", "run", "told"]);
        command.args(["--dag-id", "tests", "--input", &input.to_string()]);
        let output = command.output().unwrap();
        let code = if then["do"] == "panic" { 6 } else { 0 };
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        outputs.push((format!("stdout of run {at}"), output.stdout));
        outputs.push((format!("log of run {at}"), output.stderr));
    }

    // Every kind of statement ran, as the user whom Vault's answer names.
    let report: Value = serde_json::from_slice(&outputs[0].1).unwrap();
    let answers = &report["result"];
    let users = leased(&vault);
    assert_eq!(users.len(), runs.len());
    assert_eq!(answers[0]["rows"], json!([[users[0].0]]), "{report}");
    assert_eq!(
        answers[2]["message"],
        format!("it is {}", users[0].0),
        "{report}"
    );
    assert_eq!(answers[5], "rolled back");
    assert_eq!(answers[7]["sqlstate"], "42703");
    assert_eq!(answers[9], json!({"rows": 1}), "{report}");
    assert_eq!(answers[10]["error"], "statement", "{report}");
    assert!(answers[10]["message"].is_string(), "{report}");
    assert_eq!(answers[11]["text"], "1\tx\n2\tx\n", "{report}");
    assert_eq!(answers[12]["kind"], "out-of-scope", "{report}");
    assert_eq!(answers[15]["rows"], json!([[1]]), "{report}");

    let mut traces = Traces::of(world, outputs);
    // `leaks::hunt` looks into compiled code; it knows nothing of a run.
    traces
        .files
        .retain(|file| !file.components().any(|part| part.as_os_str() == "cache"));
    assert!(traces.files.iter().any(|file| {
        let folder = file.parent().unwrap();
        folder == world.path("audit")
    }));
    for (user, password) in &users {
        assert_eq!(traces.search(password, false), Vec::<String>::new());
        // The control: the user's name, which is no secret, is found.
        assert!(!traces.search(user, false).is_empty(), "{user}");
    }
    traces.control();
    drop(vault);
    warehouse.nothing_is_left().await;
}

/// The database users and their passwords in Vault's answers.
fn leased(vault: &Proxy) -> Vec<(String, String)> {
    let mut users = Vec::new();
    for answer in vault.answers() {
        let Some(body) = answer.windows(4).position(|it| it == b"\r\n\r\n") else {
            continue;
        };
        let body: Value = serde_json::from_slice(&answer[body + 4..]).unwrap_or_default();
        let text = |field: &str| body["data"][field].as_str().map(str::to_owned);
        if let (Some(user), Some(password)) = (text("username"), text("password")) {
            assert!(user.starts_with("v-") && password.len() >= 16, "{user}");
            users.push((user, password));
        }
    }
    users
}

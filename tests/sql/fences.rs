//! Two fences, each of which holds alone: the gate before the database, and
//! what the database allows the user that our own statements made.

use serde_json::{Value, json};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use super::world::{DYNAMIC, EVERYTHING, LEASES, Warehouse};

/// What would get a user, a password, a file or somebody else's rows.
const ATTEMPTS: &[&str] = &[
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "CREATE ROLE mine LOGIN PASSWORD 'x'",
    "CREATE USER mine",
    "DROP ROLE reporter",
    "GRANT postgres TO CURRENT_USER",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "SELECT * FROM pg_shadow",
    "SELECT passwd FROM pg_catalog.pg_shadow",
    "SELECT rolpassword FROM pg_authid",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT lo_import('/etc/passwd')",
    "COPY notes TO PROGRAM 'cat'",
    "COPY notes FROM PROGRAM 'id'",
    "COPY notes TO '/tmp/notes'",
    "COPY notes FROM '/etc/passwd'",
    "SELECT name FROM salaries",
    "INSERT INTO salaries VALUES ('me', 9)",
    "CREATE TABLE mine (n int)",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION dblink",
    "DROP TABLE orders",
    "TRUNCATE orders",
    "ALTER TABLE orders OWNER TO CURRENT_USER",
    "CREATE TABLE orders2 AS SELECT * FROM orders",
    "DO $$ BEGIN EXECUTE 'CREATE ROLE mine'; END $$",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
    "ALTER SYSTEM SET log_statement = 'all'",
    "CHECKPOINT",
    "LOAD 'dblink'",
    "SELECT set_config('role', 'postgres', false)",
];

/// What PostgreSQL lets every user do, ours too: only the gate is before it. For
/// what may not be refused there is no right that could be taken back: a password
/// is its user's own to change, and who may write a table may lock it. docs/SQL.md
/// lists these.
const LEFT_OPEN: &[&str] = &[
    CHANGED,
    "ALTER ROLE CURRENT_USER SET search_path = 'pg_temp'",
    "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
     WHERE usename = current_user AND pid <> pg_backend_pid()",
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity \
     WHERE usename = current_user AND pid <> pg_backend_pid()",
    // What it sets holds for its session.
    "SET statement_timeout = 0",
    "SET search_path = pg_temp",
    "SET TimeZone = 'Asia/Tokyo'",
    "SELECT set_config('statement_timeout', '0', false)",
    "SHOW ALL",
    "DISCARD ALL",
    // Objects of its own, which end with the session or with the user.
    "CREATE TEMP TABLE mine (n int)",
    "CREATE TEMP TABLE copied AS SELECT * FROM orders",
    "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'of my own')",
    // Code, and statements that are kept.
    "DO $$ BEGIN PERFORM 1; END $$",
    "PREPARE mine AS SELECT * FROM orders",
    "DECLARE mine CURSOR FOR SELECT * FROM orders",
    "EXPLAIN SELECT * FROM orders",
    // Word to other sessions.
    "LISTEN mine",
    "NOTIFY mine, 'somebody'",
    "SELECT pg_notify('mine', 'somebody')",
    // Functions of `PUBLIC`, some of which take a text and run it.
    "SELECT pg_sleep(0)",
    "SELECT query_to_xml('SELECT * FROM orders', true, true, '')",
    // The catalogues: who there is, what is set, what else there is.
    "SELECT rolname FROM pg_catalog.pg_roles",
    "SELECT datname, usename FROM pg_catalog.pg_stat_activity",
    "SELECT relname FROM pg_catalog.pg_class",
    "SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = 'salaries'::regclass",
    "SELECT prosrc FROM pg_catalog.pg_proc",
    "SELECT name, setting FROM pg_catalog.pg_settings",
];

/// What sets a password that Vault does not know.
const CHANGED: &str = "ALTER ROLE CURRENT_USER PASSWORD 'a-password-of-my-own'";

/// Ways to say the same so that a gate might not see it.
const DISGUISES: &[&str] = &[
    "SELECT id FROM orders; SELECT * FROM pg_shadow",
    "SELECT id FROM orders --\n; SELECT * FROM pg_shadow",
    "SELECT id FROM orders /* /* */ */ UNION SELECT 1 FROM pg_shadow",
    "WITH x AS (DELETE FROM salaries RETURNING name) SELECT * FROM x",
    "WITH x AS (WITH y AS (SELECT name FROM salaries) SELECT * FROM y) SELECT * FROM x",
    "SELECT (SELECT name FROM salaries LIMIT 1)",
    "SELECT * FROM U&\"s\\0061laries\"",
    "SELECT * FROM \"salaries\"",
    "SELECT * FROM public.salaries",
    "TABLE salaries",
    "SELECT $$x$$, (SELECT name FROM salaries)",
    "SELECT 1 WHERE EXISTS (TABLE salaries)",
    "INSERT INTO notes SELECT 1, name FROM salaries",
    "MERGE INTO notes USING salaries ON false WHEN NOT MATCHED THEN INSERT VALUES (1, name)",
    "UPDATE notes SET body = name FROM salaries",
    "DELETE FROM notes USING salaries",
    "COPY (SELECT name FROM salaries) TO STDOUT",
    "PREPARE x AS SELECT * FROM salaries",
    "EXECUTE x",
    "DECLARE c CURSOR FOR SELECT * FROM salaries",
    "EXPLAIN ANALYZE DELETE FROM salaries",
    "SELECT query_to_xml('SELECT * FROM salaries', true, true, '')",
    "SELECT table_to_xml('salaries', true, true, '')",
    "SELECT 'salaries'::regclass",
    "SELECT ('salaries').regclass",
    "SELECT ('data_directory').current_setting",
    "SELECT g.current_setting FROM unnest(ARRAY['data_directory']) AS g",
    "BEGIN",
    "COMMIT",
    "LISTEN x",
    "NOTIFY x",
    "CALL mine()",
    "VACUUM",
    "SHOW ALL",
];

fn query(sql: &str) -> Value {
    json!({"query": {"sql": sql}})
}

#[tokio::test]
async fn the_gate_refuses_before_there_is_even_a_connection() {
    let warehouse = Warehouse::start().await;
    let all: Vec<&str> = [ATTEMPTS, LEFT_OPEN, DISGUISES].concat();
    let mut steps: Vec<Value> = all.iter().map(|sql| query(sql)).collect();
    steps.extend(all.iter().map(|sql| json!({"execute": {"sql": sql}})));
    steps.extend(all.iter().map(|sql| json!({"copy_out": {"sql": sql}})));
    steps.extend(
        all.iter()
            .map(|sql| json!({"copy_in": {"sql": sql, "chunks": []}})),
    );
    let before = warehouse.bao().minted().unwrap();
    let finished = warehouse.run("load", json!(steps));
    let answers = finished.result().unwrap();
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len() % all.len(), 0, "one answer a statement");
    assert!(answers.len() >= all.len());
    for (answer, sql) in answers.iter().zip(all.iter().cycle()) {
        assert_eq!(answer["error"], "denied", "{sql}: {answer}");
        let kind = answer["kind"].as_str().unwrap();
        assert!(
            ["out-of-scope", "invalid-argument"].contains(&kind),
            "{sql}: {answer}"
        );
    }
    // No user was made for it, and the database heard nothing.
    let report = finished.report().unwrap();
    assert_eq!(report["calls"], json!({}), "{report}");
    assert_eq!(report["revocation"], json!({"complete": true}), "{report}");
    assert_eq!(warehouse.bao().minted().unwrap(), before + 1);
    // Positive control: what is granted is let through by the same gate.
    let answers = warehouse.steps("load", json!([query("SELECT id FROM orders")]));
    assert_eq!(answers[0]["rows"], json!([]));
    warehouse.nothing_is_left().await;
}

#[tokio::test]
async fn the_database_refuses_the_user_whom_our_statements_made() {
    let warehouse = Warehouse::start().await;
    let (_, made) = warehouse.bao().root("GET", LEASES, None).await.unwrap();
    let user = made["data"]["username"].as_str().unwrap();
    let password = made["data"]["password"].as_str().unwrap();
    let config = warehouse.postgres.config(user, password);
    let (client, connection) = config.connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    // Positive control: the user can do what it is for.
    for granted in [
        "INSERT INTO orders (customer, amount) VALUES ('a', 1)",
        "SELECT * FROM orders",
        "UPDATE orders SET amount = 2",
        "DELETE FROM orders",
        "SELECT * FROM notes",
    ] {
        client
            .batch_execute(granted)
            .await
            .unwrap_or_else(|error| panic!("{granted}: {error:?}"));
    }
    for attempt in ATTEMPTS {
        let Err(error) = client.batch_execute(attempt).await else {
            panic!("{attempt}: was allowed");
        };
        let code = error.code().cloned().unwrap_or(SqlState::INTERNAL_ERROR);
        let refused = [
            SqlState::INSUFFICIENT_PRIVILEGE,
            SqlState::UNDEFINED_FUNCTION,
            SqlState::UNDEFINED_FILE,
            SqlState::UNDEFINED_OBJECT,
        ];
        assert!(refused.contains(&code), "{attempt}: {error:?}");
    }
    drop(client);
    let _ = connection.await;
}

#[tokio::test]
async fn what_the_database_leaves_open_ends_with_the_lease() {
    let warehouse = Warehouse::start().await;
    let (_, made) = warehouse.bao().root("GET", LEASES, None).await.unwrap();
    let user = made["data"]["username"].as_str().unwrap();
    let password = made["data"]["password"].as_str().unwrap();
    let config = warehouse.postgres.config(user, password);
    for statement in LEFT_OPEN {
        // Each from the same start: some would change what the next one does.
        let (client, connection) = config.connect(NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        // The control: it is a user without any right but the grant's.
        let salaries = client.batch_execute("SELECT name FROM salaries").await;
        let refused = salaries.unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
        let within = format!("BEGIN; {statement}; ROLLBACK");
        let alone = ["DISCARD ALL"].contains(statement);
        let text = if alone { statement } else { within.as_str() };
        if let Err(error) = client.batch_execute(text).await {
            panic!("{statement}: {error:?}");
        }
        drop(client);
        let _ = connection.await;
    }

    // What would stay, in earnest.
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    for statement in [
        CHANGED,
        "ALTER ROLE CURRENT_USER SET search_path = 'pg_temp'",
        "SELECT lo_from_bytea(0, 'of my own')",
    ] {
        client.batch_execute(statement).await.unwrap();
    }
    let objects = "SELECT count(*) FROM pg_largeobject_metadata";
    let settings = "SELECT count(*) FROM pg_db_role_setting";
    assert_eq!(warehouse.one(objects).await, "1");
    assert_eq!(warehouse.one(settings).await, "1");
    let mine = warehouse.postgres.config(user, "a-password-of-my-own");
    let (second, connection) = mine.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    // One session of a user can end another.
    let other = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
                 WHERE usename = current_user AND pid <> pg_backend_pid()";
    let ended = client.query(other, &[]).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert!(ended[0].get::<_, bool>(0));
    assert!(second.batch_execute("SELECT 1").await.is_err());
    let old = config.connect(NoTls).await.map(drop).unwrap_err();
    assert_eq!(old.code(), Some(&SqlState::INVALID_PASSWORD));

    let body = json!({"lease_id": made["lease_id"], "sync": true});
    let path = "sys/leases/revoke";
    let (status, answer) = warehouse
        .bao()
        .root("POST", path, Some(body))
        .await
        .unwrap();
    assert_eq!(status, 204, "{answer}");
    assert_eq!(warehouse.users().await, Vec::<String>::new());
    let gone = mine.connect(NoTls).await.map(drop).unwrap_err();
    assert_eq!(gone.code(), Some(&SqlState::INVALID_PASSWORD));
    assert_eq!(warehouse.one(objects).await, "0");
    assert_eq!(warehouse.one(settings).await, "0");
    drop(client);
    warehouse.nothing_is_left().await;
}

/// With `dblink` there, everybody may execute its functions, as PostgreSQL
/// installs it.
#[tokio::test]
async fn a_way_out_that_is_installed_stays_shut() {
    let warehouse = Warehouse::start().await;
    let postgres = &warehouse.postgres;
    postgres.ask("CREATE EXTENSION dblink").await.unwrap();
    let place = format!(
        "host=127.0.0.1 port={} dbname={}",
        postgres.port(),
        postgres.database()
    );
    // The control: it is a way out for who has a password.
    let way = format!(
        "SELECT * FROM dblink('{place} user={} password={}', 'SELECT name FROM salaries') AS t (name text)",
        super::world::REPORTER,
        crate::common::TOKEN
    );
    let refused = postgres.ask(&way).await.unwrap_err();
    assert!(format!("{refused:?}").contains("salaries"), "it came there");

    let there = |sql: &str| format!("SELECT * FROM dblink('{place}', '{sql}') AS t (n text)");
    let ways = [
        way,
        there("SELECT name FROM salaries"),
        format!("SELECT dblink_connect('{place}')"),
        format!("SELECT public.dblink_connect('a', '{place}')"),
        "SELECT dblink_exec('a', 'DROP TABLE orders')".to_owned(),
        format!("SELECT ('{place}').dblink_connect"),
        format!("SELECT g.dblink_connect FROM unnest(ARRAY['{place}']) AS g"),
    ];
    let steps: Vec<Value> = ways.iter().map(|sql| query(sql)).collect();
    let finished = warehouse.run("load", json!(steps));
    let answers = finished.result().unwrap();
    for (answer, sql) in answers.as_array().unwrap().iter().zip(&ways) {
        assert_eq!(answer["error"], "denied", "{sql}: {answer}");
    }
    // And the database alone: without a password of its own, nobody gets out.
    let (_, made) = warehouse.bao().root("GET", LEASES, None).await.unwrap();
    let user = made["data"]["username"].as_str().unwrap();
    let config = postgres.config(user, made["data"]["password"].as_str().unwrap());
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let connect = format!("SELECT dblink_connect('{place}')");
    let error = client.batch_execute(&connect).await.unwrap_err();
    assert_eq!(
        error.code(),
        Some(&SqlState::S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED)
    );
}

#[tokio::test]
async fn a_user_who_may_read_may_not_write_whatever_the_gate_thinks() {
    let warehouse = Warehouse::start().await;
    let scope = "allow = [\"select\"]\ntables = [\"public.orders\"]\n";
    let credential = DYNAMIC.replace("writer", "reader");
    warehouse.grant("read", &credential, scope, "");
    warehouse.role("read").await;
    let (_, made) = warehouse
        .bao()
        .root("GET", "database/creds/reader", None)
        .await
        .unwrap();
    let user = made["data"]["username"].as_str().unwrap();
    let config = warehouse
        .postgres
        .config(user, made["data"]["password"].as_str().unwrap());
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("SELECT * FROM orders").await.unwrap();
    for refused in [
        "INSERT INTO orders (customer) VALUES ('x')",
        "UPDATE orders SET amount = 1",
        "DELETE FROM orders",
        "SELECT * FROM notes",
        "SELECT nextval('orders_id_seq')",
    ] {
        let error = client.batch_execute(refused).await.unwrap_err();
        assert_eq!(
            error.code(),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            "{refused}"
        );
    }
    // No more connections than the grant needs.
    let second = config.connect(NoTls).await.unwrap();
    let third = config.connect(NoTls).await.map(drop).unwrap_err();
    assert_eq!(third.code(), Some(&SqlState::TOO_MANY_CONNECTIONS));
    drop(second);

    // And under the host: the session itself is one that reads.
    warehouse.grant("wide", &credential, EVERYTHING, "");
    let insert = json!({"execute": {"sql": "INSERT INTO orders (customer) VALUES ('x')"}});
    let answers = warehouse.steps("wide", json!([insert]));
    assert_eq!(answers[0]["sqlstate"], "42501", "{answers}");
    let fixed = super::world::FIXED;
    warehouse.grant(
        "narrow",
        fixed,
        "allow = [\"select\"]\ntables = [\"public.notes\"]\n",
        "",
    );
    let answers = warehouse.steps(
        "narrow",
        json!([insert, {"begin": {}}, query("SELECT id FROM notes"), {"commit": {}}]),
    );
    assert_eq!(answers[0]["kind"], "out-of-scope", "{answers}");
    assert_eq!(answers[2]["rows"], json!([]), "{answers}");
}

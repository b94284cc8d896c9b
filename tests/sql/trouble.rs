//! What goes wrong in a database while a task uses it, and what the task is told.

use std::time::{Duration, Instant};

use cofferdam_devkit::postgres::Postgres;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use super::world::{DYNAMIC, EVERYTHING, FIXED, REPORTER, Warehouse};
use crate::common::{SOON, ended, journal, signal, sweep};

/// A session of the superuser's that stays open.
async fn superuser(warehouse: &Warehouse, database: &str) -> Client {
    let postgres = &warehouse.postgres;
    let mut config = postgres.config(Postgres::SUPERUSER, postgres.password());
    let (client, connection) = config.dbname(database).connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn query(sql: &str) -> Value {
    json!({"query": {"sql": sql}})
}

/// Waits until so many statements of tasks run, or wait for a lock.
async fn running(warehouse: &Warehouse, count: usize) {
    let start = Instant::now();
    while warehouse.running().await.len() < count {
        assert!(start.elapsed() < SOON, "too few run");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_the_server_cannot_do_now_is_told_as_that() {
    let warehouse = Warehouse::start().await;
    warehouse.grant("fixed", FIXED, EVERYTHING, "statement_timeout = \"1m\"\n");
    let postgres = &warehouse.postgres;
    postgres
        .ask(&format!(
            "INSERT INTO notes SELECT n, repeat('x', 100) FROM generate_series(1, 20000) n; \
             ALTER ROLE {REPORTER} SET temp_file_limit = '64kB'; \
             ALTER ROLE {REPORTER} SET work_mem = '64kB'"
        ))
        .await
        .unwrap();

    // A row that somebody else holds, and a disk that is full for this user.
    let holder = superuser(&warehouse, postgres.database()).await;
    let hold = "BEGIN; SELECT * FROM notes WHERE id = 1 FOR UPDATE";
    holder.batch_execute(hold).await.unwrap();
    let mine = "SELECT id FROM notes WHERE id = 1 FOR UPDATE NOWAIT";
    let sorted = "SELECT id, body FROM notes ORDER BY md5(body || id)";
    let answers = warehouse.steps(
        "fixed",
        json!([query(mine), query(sorted), query("SELECT 1")]),
    );
    for (step, sqlstate) in [(0, "55P03"), (1, "53400")] {
        assert_eq!(answers[step]["error"], "unavailable", "{answers}");
        assert_eq!(answers[step]["sqlstate"], sqlstate, "{answers}");
    }
    // The connection is as good as before.
    assert_eq!(answers[2]["rows"], json!([[1]]), "{answers}");

    // An administrator cancels a statement, and ends a session.
    for (function, error, sqlstate) in [
        ("pg_cancel_backend", "timeout", Value::Null),
        ("pg_terminate_backend", "unavailable", json!("57P01")),
    ] {
        let waits = "SELECT id FROM notes WHERE id = 1 FOR UPDATE";
        let input = json!({"do": "sql", "grant": "db", "steps": [query(waits), query("SELECT 1")]});
        let child = warehouse.world.run("fixed").input(input).command().spawn();
        running(&warehouse, 1).await;
        let ended_by =
            format!("SELECT {function}(pid) FROM pg_stat_activity WHERE usename = '{REPORTER}'");
        assert_eq!(postgres.ask(&ended_by).await.unwrap().len(), 1);
        let finished = ended(child.unwrap());
        let answers = finished.result().unwrap();
        assert_eq!(answers[0]["error"], error, "{function}: {answers}");
        assert_eq!(answers[0]["sqlstate"], sqlstate, "{function}: {answers}");
        assert_eq!(answers[1]["rows"], json!([[1]]), "{function}: {answers}");
    }
    holder.batch_execute("ROLLBACK").await.unwrap();

    // No room for another connection of this user.
    let none = format!("ALTER ROLE {REPORTER} CONNECTION LIMIT 0");
    postgres.ask(&none).await.unwrap();
    let answers = warehouse.steps("fixed", json!([query("SELECT 1")]));
    assert_eq!(
        answers[0],
        json!({"error": "connection", "kind": "connect"})
    );
}

#[tokio::test]
async fn a_transaction_that_is_let_go_with_its_cursor_open_waits_for_nothing() {
    let warehouse = Warehouse::start().await;
    warehouse.grant("slow", DYNAMIC, EVERYTHING, "statement_timeout = \"1h\"\n");
    warehouse
        .postgres
        .ask("INSERT INTO notes SELECT n, repeat('x', 1000) FROM generate_series(1, 20000) n")
        .await
        .unwrap();
    let begun = Instant::now();
    let answers = warehouse.steps(
        "slow",
        json!([
            {"begin": {}},
            {"execute": {"sql": "INSERT INTO notes VALUES (0, 'undone')"}},
            {"query": {"sql": "SELECT id, body FROM notes", "keep": true}},
            {"read_kept": {"rows": 5}},
            {"drop_transaction": {}},
            {"drop_kept": {}},
            {"query": {"sql": "SELECT count(*) FROM notes WHERE id = 0"}},
        ]),
    );
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(answers[3], json!({"rows": 5}), "{answers}");
    assert_eq!(answers[6]["rows"], json!([[0]]), "{answers}");
    warehouse.nothing_is_left().await;
}

/// A static role: Vault rotates the password of a user who stays.
#[tokio::test]
async fn a_password_that_vault_rotates_in_mid_run_is_picked_up() {
    let warehouse = Warehouse::start().await;
    let role = cofferdam_devkit::postgres::StaticRole {
        name: "ops",
        user: "ops",
        period: "24h",
    };
    let (bao, postgres) = (warehouse.bao(), &warehouse.postgres);
    bao.static_role(postgres, &role).await.unwrap();
    postgres.ask("GRANT SELECT ON notes TO ops").await.unwrap();
    let fixed = "credential = { static = { mount = \"database\", role = \"ops\" } }\n";
    warehouse.grant("ops", fixed, EVERYTHING, "");
    let input = json!({"do": "sql", "grant": "db", "steps": [
        query("SELECT count(*) FROM notes"),
        {"sleep": {"ms": 2000}},
        {"close": {}},
        {"open": {}},
        query("SELECT count(*) FROM notes"),
    ]});
    let run = warehouse.world.run("ops").input(input);
    let child = run.command().spawn().unwrap();
    let start = Instant::now();
    while warehouse.sessions().await == 0 {
        assert!(start.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let password = async || {
        let (_, read) = bao
            .root("GET", "database/static-creds/ops", None)
            .await
            .unwrap();
        read["data"]["password"].as_str().unwrap().to_owned()
    };
    let before = password().await;
    let (status, _) = bao
        .root("POST", "database/rotate-role/ops", None)
        .await
        .unwrap();
    assert_eq!(status, 204);
    let old = postgres.config("ops", &before);
    assert_ne!(password().await, before);
    assert!(old.connect(NoTls).await.is_err(), "the old one is dead");

    let finished = ended(child);
    let answers = finished.result().unwrap();
    assert_eq!(answers[0]["rows"], json!([[0]]), "{finished:?}");
    assert_eq!(answers[4]["rows"], json!([[0]]), "{finished:?}");
    // By the server's own word the host read it twice, and nothing was leased.
    let reads = bao.answers_to("database/static-creds/ops").unwrap();
    let by_root = |read: &&Value| read["auth"]["policies"] == json!(["root"]);
    assert_eq!(reads.iter().filter(by_root).count(), 2, "the test's own");
    assert_eq!(reads.len(), 4, "{reads:?}");
    let leased = || {
        let mut answers = bao.answers_to("database/").unwrap();
        answers.retain(|it| it["response"]["secret"]["lease_id"].is_string());
        answers.len()
    };
    assert_eq!(leased(), 0);
    warehouse.nothing_is_left().await;
    // The control: that one made a user, and the same look sees its lease.
    assert_eq!(leased(), 1);
}

/// What PostgreSQL cannot drop: rights in another database hold a user fast.
#[tokio::test]
async fn a_user_whom_another_database_holds_is_told_and_swept_later() {
    let warehouse = Warehouse::start().await;
    warehouse
        .postgres
        .ask("CREATE DATABASE elsewhere")
        .await
        .unwrap();
    let elsewhere = superuser(&warehouse, "elsewhere").await;
    elsewhere
        .batch_execute("CREATE TABLE t (n int)")
        .await
        .unwrap();
    let input = json!({"do": "sql", "grant": "db", "steps": [
        query("SELECT 1"), {"sleep": {"ms": 1500}},
    ]});
    let run = warehouse.world.run("load").input(input);
    let child = run.command().spawn().unwrap();
    let start = Instant::now();
    while warehouse.sessions().await == 0 {
        assert!(start.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let user = warehouse.users().await.remove(0);
    let held = format!("GRANT SELECT ON t TO \"{user}\"");
    elsewhere.batch_execute(&held).await.unwrap();

    let finished = ended(child);
    assert_eq!(finished.code, 7, "{finished:?}");
    let report = finished.report().unwrap();
    assert_eq!(report["outcome"]["kind"], "done", "{report}");
    assert_eq!(
        report["revocation"]["leases"],
        json!({"revoked": 0, "left": 1}),
        "{report}"
    );
    assert_eq!(warehouse.users().await, [user.as_str()]);
    assert_eq!(journal(&warehouse.world).len(), 1);
    let (code, report) = sweep(&warehouse.world);
    assert_ne!(code, 0, "{report}");
    assert_eq!(warehouse.users().await, [user.as_str()]);

    let freed = format!("REVOKE SELECT ON t FROM \"{user}\"");
    elsewhere.batch_execute(&freed).await.unwrap();
    let (code, report) = sweep(&warehouse.world);
    assert_eq!(code, 0, "{report}");
    assert!(journal(&warehouse.world).is_empty());
    drop(elsewhere);
    warehouse.nothing_is_left().await;
}

/// A cancellation takes a connection of its own, made as the first one was.
#[tokio::test]
async fn a_statement_is_cancelled_over_tls_and_through_a_socket() {
    use cofferdam_devkit::identity::Authority;
    use cofferdam_devkit::postgres::Options;

    let authority = Authority::new("the database's own").unwrap();
    let warehouse = Warehouse::with(Options {
        tls: Some(authority.server(&["localhost"]).unwrap()),
        ..Options::default()
    })
    .await;
    let postgres = &warehouse.postgres;
    let fill = "INSERT INTO notes SELECT n, 'x' FROM generate_series(1, 1000) n";
    postgres.ask(fill).await.unwrap();
    let (port, name) = (postgres.port(), postgres.database());
    let tls = format!(
        "[sql.db]\nserver = \"localhost:{port}/{name}\"\nnetwork = \"loopback\"\nca = \"\"\"\n{}\"\"\"\n",
        authority.pem()
    );
    let socket = format!(
        "[sql.db]\nserver = \"unix:{}:{port}/{name}\"\nplain = true\n",
        postgres.socket_folder().display()
    );
    let count = "SELECT count(*) FROM notes a, notes b, notes c, notes d";
    for (what, server, encrypted) in [("tls", tls, true), ("socket", socket, false)] {
        // As a user that stays: only the cancellation ends what runs.
        let rest = "statement_timeout = \"1h\"\n";
        let grants = format!("[limits]\ntimeout = \"1m\"\n\n{server}{FIXED}{EVERYTHING}{rest}");
        crate::common::install(&warehouse.world, what, "probe-sql", &grants);
        let input = json!({"do": "sql", "grant": "db", "steps": [query(count)]});
        let child = warehouse.world.run(what).input(input).command().spawn();
        let child = child.unwrap();
        running(&warehouse, 1).await;
        let ssl = format!(
            "SELECT s.ssl::text FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
             WHERE a.usename = '{REPORTER}'"
        );
        assert_eq!(warehouse.one(&ssl).await, encrypted.to_string(), "{what}");
        signal(&child, Signal::TERM);
        assert_eq!(ended(child).code, 130, "{what}");
        let start = Instant::now();
        while !warehouse.running().await.is_empty() {
            assert!(
                start.elapsed() < Duration::from_millis(500),
                "{what}: it still runs"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(warehouse.sessions().await, 0, "{what}");
    }
    warehouse.nothing_is_left().await;
}

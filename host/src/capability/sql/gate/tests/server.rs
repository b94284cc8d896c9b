//! What a real PostgreSQL makes of it.

use cofferdam_devkit::postgres::{Options, Postgres};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::super::functions;
use super::*;

/// Statements, one a line, on the tables of [`SCHEMA`].
const ANSWERED: &str = include_str!("answered.txt");

const SCHEMA: &str = "
    CREATE TYPE order_state AS ENUM ('open', 'paid');
    CREATE TABLE orders (id int PRIMARY KEY, customer text, amount numeric(12, 2) DEFAULT 5,
        paid boolean DEFAULT false, at timestamptz DEFAULT '2026-10-05 10:30Z', tags text[],
        note jsonb, state order_state DEFAULT 'open');
    CREATE TABLE lines (order_id int, sku text, quantity int);
    CREATE SCHEMA stage;
    CREATE TYPE stage.pair AS (a int, b text);
    CREATE DOMAIN stage.positive AS int CHECK (VALUE > 0);
    CREATE TABLE stage.orders (id int, customer text);
    CREATE TABLE secrets (password text);
    CREATE FUNCTION e(n text) RETURNS text LANGUAGE sql AS $$SELECT 'e was ' || n$$;
    CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT n * 2';
    INSERT INTO orders VALUES
        (1, 'Ann', 30, true, '2026-10-01Z', '{a,b}', '{\"a\": [1, 2], \"b\": \"x\"}', 'paid'),
        (2, 'Bo', 12.5, false, '2026-10-02Z', '{c}', NULL, 'open'),
        (3, 'Ann', 7, false, '2026-10-03Z', NULL, '{}', 'open');
    INSERT INTO lines VALUES (1, 'x', 3), (1, 'y', 1), (2, 'x', 2);
    INSERT INTO stage.orders VALUES (1, 'Stage'), (9, 'Nobody');
    INSERT INTO secrets VALUES ('hunter2');
";

/// Functions of the list whose answer changes from call to call, or with the clock.
const VOLATILE: [&str; 4] = ["clock_timestamp", "gen_random_uuid", "random", "timeofday"];

struct Server {
    client: Client,
    _postgres: Postgres,
}

impl Server {
    /// Connected as the superuser, so that nothing but the gate stands between.
    async fn start() -> Self {
        let postgres = Postgres::start(Options::default()).unwrap();
        let config = postgres.config(Postgres::SUPERUSER, postgres.password());
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(SCHEMA).await.unwrap();
        Self {
            client,
            _postgres: postgres,
        }
    }

    /// The names and the rows of a statement, which is undone, or the state of its error.
    async fn answer(&self, statement: &str) -> Result<String, String> {
        self.client.batch_execute("BEGIN").await.unwrap();
        let answer = self.client.simple_query(statement).await;
        self.client.batch_execute("ROLLBACK").await.unwrap();
        let messages = answer.map_err(|error| match error.code() {
            Some(state) => state.code().to_owned(),
            None => error.to_string(),
        })?;
        let mut text = String::new();
        for message in &messages {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    let names = columns.iter().map(|column| column.name().to_owned());
                    text.push_str(&format!("{:?}\n", names.collect::<Vec<_>>()));
                }
                SimpleQueryMessage::Row(row) => {
                    let values = (0..row.len()).map(|at| row.get(at));
                    text.push_str(&format!("{:?}\n", values.collect::<Vec<_>>()));
                }
                SimpleQueryMessage::CommandComplete(rows) => text.push_str(&format!("{rows}\n")),
                _ => {}
            }
        }
        Ok(text)
    }
}

/// The rules of the catalogue, with a function that is there.
fn gate() -> Gate {
    let mut rules = rules(&ALL);
    rules.functions.insert("public.twice".parse().unwrap());
    Gate::new(rules)
}

#[tokio::test]
async fn what_is_written_means_what_was_meant() {
    let server = Server::start().await;
    let gate = gate();
    let mut wrong = Vec::new();
    let mut count = 0;
    for text in ANSWERED.lines() {
        let sent = match gate.check(text) {
            Ok(checked) => checked,
            Err(rejected) => {
                wrong.push(format!("{text}\n    {rejected}"));
                continue;
            }
        };
        let (meant, written) = (server.answer(text).await, server.answer(sent.text()).await);
        match (meant, written) {
            (Ok(meant), Ok(written)) if meant == written => count += 1,
            (meant, written) => wrong.push(format!(
                "{text}\n{}\n    {meant:?}\n    {written:?}",
                sent.text()
            )),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 60, "{count}");
}

#[tokio::test]
async fn a_type_of_the_databases_own_is_named_when_the_grant_names_it() {
    let server = Server::start().await;
    let (without, mut rules) = (gate(), rules(&ALL));
    rules.types = ["public.order_state", "stage.pair", "stage.positive"]
        .map(|name| name.parse().unwrap())
        .into();
    let with = Gate::new(rules);
    for text in [
        "SELECT 'open'::order_state",
        "SELECT '{open,paid}'::public.order_state[]",
        "SELECT id FROM orders WHERE state = CAST('paid' AS order_state)",
        "UPDATE orders SET state = 'paid'::order_state WHERE id = 2 RETURNING state",
        "SELECT 3::stage.positive",
        "SELECT ROW (1, 'x')::stage.pair",
    ] {
        let refused = without.check(text).unwrap_err();
        assert_eq!(refused.reason, Reason::TypeNotAllowed, "{text}");
        let sent = with.check(text).unwrap();
        let (meant, written) = (server.answer(text).await, server.answer(sent.text()).await);
        assert!(meant.is_ok(), "{text}: {meant:?}");
        assert_eq!(meant, written, "{text}");
    }
    // The type's own rules hold.
    let sent = with.check("SELECT 0::stage.positive").unwrap();
    assert_eq!(server.answer(sent.text()).await, Err("23514".to_owned()));
    for text in [
        "SELECT 'open'::stage.order_state",
        "SELECT 3::positive",
        "SELECT 'x'::secrets",
        "SELECT 'x'::public.secrets",
        "SELECT '{}'::public._order_state",
        "SELECT 'secrets'::regclass",
    ] {
        let refused = with.check(text).unwrap_err();
        assert_eq!(refused.reason, Reason::TypeNotAllowed, "{text}");
    }
    assert!(with.check("SELECT (ROW (1, 'x')::stage.pair).a").is_err());
}

/// The names that the file's statements use are mostly not there: the server
/// must miss the same thing in both texts.
#[tokio::test]
async fn what_is_written_fails_as_what_was_meant() {
    let server = Server::start().await;
    let gate = gate();
    let mut wrong = Vec::new();
    for text in written::statements() {
        // A copy needs its data; and to the gate the words of the session are
        // names like any other.
        if text.starts_with("COPY") || text.contains("current_role") {
            continue;
        }
        let sent = gate.check(text).unwrap();
        let meant = server.answer(text).await.map(|_| ());
        let written = server.answer(sent.text()).await.map(|_| ());
        if meant != written {
            wrong.push(format!("{text}\n    {meant:?} {written:?} {}", sent.text()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_the_gate_refuses_would_have_told() {
    let server = Server::start().await;
    let gate = gate();
    // A positive control: without the gate, as the superuser, it is all there.
    for (text, told) in [
        ("SELECT * FROM secrets", "hunter2"),
        ("WITH a AS (TABLE secrets) SELECT * FROM a", "hunter2"),
        (
            "SELECT query_to_xml('SELECT * FROM secrets', true, true, '')::text",
            "hunter2",
        ),
        ("SELECT rolname FROM pg_authid", "postgres"),
        ("SELECT pg_read_file('PG_VERSION')", "15"),
        ("SELECT current_setting('is_superuser')", "on"),
        ("SELECT U&\"passw\\006frd\" FROM secrets", "hunter2"),
        (
            "SELECT set_config('role', 'pg_monitor', true)",
            "pg_monitor",
        ),
        ("SELECT ('is_superuser').current_setting", "on"),
        ("SELECT ('secrets').regclass", "secrets"),
        (
            "SELECT g.current_setting FROM unnest(ARRAY['is_superuser']) AS g",
            "on",
        ),
        (
            "SELECT e.e FROM jsonb_array_elements_text('[\"told\"]') AS e",
            "e was told",
        ),
        ("SELECT o.pg_typeof FROM orders o", "orders"),
        (
            "SELECT * FROM json_populate_record(NULL::secrets, '{}')",
            "password",
        ),
    ] {
        assert!(server.answer(text).await.unwrap().contains(told), "{text}");
        assert!(gate.check(text).is_err(), "{text}");
    }
    // What passes because it is written as something else tells nothing: what
    // it names is not there.
    for text in [
        "SELECT current_role",
        "SELECT s.password FROM orders s",
        "SELECT o.pg_sleep FROM orders o",
        "SELECT g.current_setting FROM (SELECT 'is_superuser'::text) AS g",
        "SELECT g.current_setting FROM unnest(ARRAY['is_superuser']) WITH ORDINALITY AS g",
        "SELECT g.current_setting FROM unnest(ARRAY['is_superuser'], ARRAY[1]) AS g",
        "SELECT o.secrets FROM orders o",
    ] {
        let sent = gate.check(text).unwrap();
        assert_eq!(
            server.answer(sent.text()).await,
            Err("42703".to_owned()),
            "{text}"
        );
    }
    // Or it is the task's own.
    let one = "[\"?column?\"]\n[Some(\"1\")]\n1\n".to_owned();
    let orders = server.answer("SELECT * FROM public.orders").await.unwrap();
    assert!(orders.contains("Ann"), "{orders}");
    for (text, told) in [
        ("SELECT * FROM orders AS secrets", &orders),
        ("WITH secrets AS (SELECT 1) SELECT * FROM secrets", &one),
        ("WITH pg_authid AS (SELECT 1) SELECT * FROM pg_authid", &one),
    ] {
        let sent = gate.check(text).unwrap();
        let answer = server.answer(sent.text()).await;
        assert_eq!(answer.as_ref(), Ok(told), "{text}");
    }
}

#[tokio::test]
async fn the_harmless_functions_are_harmless() {
    let server = Server::start().await;
    let mut wrong = Vec::new();
    for name in functions::names() {
        let rows = server
            .client
            .query(
                "SELECT provolatile::text, prosecdef, proacl IS NULL FROM pg_proc
                 WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = $1",
                &[&name],
            )
            .await
            .unwrap();
        if rows.is_empty() {
            wrong.push(format!("{name} is not there"));
        }
        for row in rows {
            let (volatile, definer, public): (String, bool, bool) =
                (row.get(0), row.get(1), row.get(2));
            if volatile == "v" && !VOLATILE.contains(&name) || definer || !public {
                wrong.push(format!("{name} {volatile} {definer} {public}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A table's `x.f` is a call of `f` on a row when the table has no such column.
#[tokio::test]
async fn no_function_of_rows_is_overlooked() {
    let server = Server::start().await;
    let rows = server
        .client
        .query(
            "SELECT DISTINCT proname::text FROM pg_proc p
             WHERE pronamespace = 'pg_catalog'::regnamespace
               AND proargtypes[0] = ANY ($1::text[]::regtype[]::oid[])
               AND pronargs - pronargdefaults <= 1",
            &[&[
                "record",
                "\"any\"",
                "anyelement",
                "anynonarray",
                "anycompatible",
                "anycompatiblenonarray",
            ]
            .as_slice()],
        )
        .await
        .unwrap();
    let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(found.len() > 20, "{found:?}");
    let overlooked: Vec<_> = found
        .iter()
        .filter(|name| !functions::is_harmless(name) && !functions::is_of_rows(name))
        .collect();
    assert!(overlooked.is_empty(), "{overlooked:?}");
}

/// What the gate believes of the columns of a function in `FROM`.
#[tokio::test]
async fn the_columns_of_functions_are_those_of_the_server() {
    let server = Server::start().await;
    let mut wrong = Vec::new();
    for name in functions::names() {
        let rows = server
            .client
            .query(
                "SELECT prorettype = 'record'::regtype,
                        ARRAY(SELECT n FROM unnest(proargnames, proargmodes) AS a (n, m)
                              WHERE m IN ('o', 'b', 't'))
                 FROM pg_proc
                 WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = $1",
                &[&name],
            )
            .await
            .unwrap();
        for row in rows {
            let (returns_rows, columns): (bool, Vec<String>) = (row.get(0), row.get(1));
            let right = match functions::Shape::of(name).unwrap() {
                functions::Shape::Rows => returns_rows,
                functions::Shape::Column(column) => !returns_rows && columns == [column],
                functions::Shape::Plain => returns_rows || columns.is_empty(),
            };
            if !right {
                wrong.push(format!("{name} {returns_rows} {columns:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

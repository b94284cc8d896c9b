//! What a task can do with a database, and what it is told.

use cofferdam_devkit::identity::Authority;
use cofferdam_devkit::postgres::Options;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::world::{DYNAMIC, EVERYTHING, Warehouse};

const INSERT: &str = "INSERT INTO orders (customer, amount) VALUES ($1, $2)";

fn denied(answer: &Value, kind: &str) -> bool {
    answer["error"] == "denied" && answer["kind"] == kind
}

#[tokio::test]
async fn rows_go_in_and_come_out_with_their_types() {
    let warehouse = Warehouse::start().await;
    let answers = warehouse.steps(
        "load",
        json!([
            {"execute": {"sql": INSERT, "params": [{"text": "Ada"}, {"numeric": "12.50"}]}},
            {"execute": {"sql": INSERT, "params": [{"text": "Bob"}, "null"]}},
            {"query": {"sql": "SELECT id, customer, amount, placed IS NOT NULL AS dated, \
                               ARRAY[id, NULL, 7] AS list FROM orders ORDER BY id"}},
            {"query": {"sql": "SELECT customer FROM orders WHERE id = ANY($1) ORDER BY id",
                       "params": [{"int64s": [2, null, 1]}], "batch": 1}},
            {"query": {"sql": "UPDATE orders SET amount = 1 WHERE customer = $1 RETURNING id, amount",
                       "params": [{"text": "Bob"}]}},
            {"query": {"sql": "SELECT id FROM orders WHERE false"}},
            {"execute": {"sql": "DELETE FROM orders"}},
        ]),
    );
    assert_eq!(answers[0], json!({"rows": 1}));
    assert_eq!(
        answers[2],
        json!({
            "columns": [
                ["id", "DataType::Int32"], ["customer", "DataType::Text"],
                ["amount", "DataType::Numeric"], ["dated", "DataType::Boolean"],
                ["list", "DataType::Int32[]"],
            ],
            "rows": [
                [1, "Ada", "12.50", true, [1, null, 7]],
                [2, "Bob", null, true, [2, null, 7]],
            ],
        })
    );
    assert_eq!(answers[3]["rows"], json!([["Ada"], ["Bob"]]));
    assert_eq!(answers[4]["rows"], json!([[2, "1.00"]]));
    assert_eq!(answers[5]["rows"], json!([]));
    assert_eq!(answers[6], json!({"rows": 2}));
}

#[tokio::test]
async fn transactions_hold_all_or_nothing() {
    let warehouse = Warehouse::start().await;
    let note = |id: i32| json!({"execute": {"sql": "INSERT INTO notes VALUES ($1, 'x')", "params": [{"int32": id}]}});
    let answers = warehouse.steps(
        "load",
        json!([
            {"begin": {}}, note(1), {"commit": {}},
            {"begin": {}}, note(2), {"rollback": {}},
            {"begin": {}}, note(3), {"drop_transaction": {}},
            // A statement that fails spoils it, also when the task goes on.
            {"begin": {"serializable": true}}, note(4), note(1), note(5), {"commit": {}},
            {"commit": {}},
            {"begin": {"read_only": true}}, note(6), {"rollback": {}},
            {"begin": {}}, {"begin": {}}, {"rollback": {}},
            // The connection is as good as before.
            note(7),
        ]),
    );
    assert_eq!(answers[2], "committed");
    assert_eq!(answers[5], "rolled back");
    assert_eq!(answers[11]["error"], "constraint", "{answers}");
    assert_eq!(answers[11]["sqlstate"], "23505");
    assert_eq!(answers[12]["sqlstate"], "25P02");
    assert_eq!(answers[13]["error"], "constraint", "{answers}");
    assert!(denied(&answers[14], "invalid-argument"), "{answers}");
    assert_eq!(answers[16]["sqlstate"], "25006", "{answers}");
    assert_eq!(answers[19], json!({"error": "busy"}));
    let kept = "SELECT string_agg(id::text, ',' ORDER BY id) FROM notes";
    assert_eq!(warehouse.one(kept).await, "1,7");
}

#[tokio::test]
async fn a_transaction_that_dies_with_the_guest_is_undone() {
    let warehouse = Warehouse::start().await;
    let input = json!({
        "do": "sql", "grant": "db", "then": {"do": "trap"},
        "steps": [{"begin": {}}, {"execute": {"sql": "INSERT INTO notes VALUES (1, 'x')"}}],
    });
    let finished = warehouse.world.run("load").input(input).finish().unwrap();
    assert_eq!(finished.code, 6, "{finished:?}");
    assert_eq!(warehouse.one("SELECT count(*) FROM notes").await, "0");
    warehouse.nothing_is_left().await;
}

#[tokio::test]
async fn bulk_data_goes_in_and_out() {
    let warehouse = Warehouse::start().await;
    let copy_in = "COPY notes (id, body) FROM STDIN (FORMAT csv)";
    let answers = warehouse.steps(
        "load",
        json!([
            {"copy_in": {"sql": copy_in, "chunks": ["1,on", "e\n2,\"t", "wo\"\n"]}},
            {"copy_out": {"sql": "COPY notes TO STDOUT (FORMAT csv, HEADER)", "max": 7}},
            {"copy_out": {"sql": "COPY (SELECT body FROM notes WHERE id = 2) TO STDOUT"}},
            {"copy_in": {"sql": copy_in, "chunks": ["3,left\n"], "leave": true}},
            {"copy_in": {"sql": copy_in, "chunks": ["4,x\n4,y\n"]}},
            {"copy_in": {"sql": copy_in, "chunks": ["nonsense\n"]}},
            {"copy_in": {"sql": copy_in, "chunks": ["5,last\n"]}},
            {"copy_in": {"sql": "SELECT 1", "chunks": []}},
            {"query": {"sql": copy_in}},
            {"query": {"sql": "SELECT count(*) FROM notes"}},
        ]),
    );
    assert_eq!(answers[0], json!({"rows": 2}), "{answers}");
    assert_eq!(answers[1]["text"], "id,body\n1,one\n2,two\n");
    assert_eq!(answers[2]["text"], "two\n");
    assert_eq!(answers[3], "left");
    assert_eq!(answers[4]["sqlstate"], "23505");
    assert_eq!(answers[5]["error"], "statement", "{answers}");
    assert_eq!(answers[6], json!({"rows": 1}), "{answers}");
    assert!(denied(&answers[7], "invalid-argument"), "{answers}");
    assert!(denied(&answers[8], "invalid-argument"), "{answers}");
    assert_eq!(answers[9]["rows"], json!([[3]]));
}

#[tokio::test]
async fn one_thing_at_a_time_on_a_connection() {
    let warehouse = Warehouse::start().await;
    warehouse.grant("two", DYNAMIC, EVERYTHING, "max_connections = 2\n");
    warehouse
        .postgres
        .ask("INSERT INTO notes SELECT n, repeat('x', 1000) FROM generate_series(1, 20000) n")
        .await
        .unwrap();
    let all = json!({"query": {"sql": "SELECT id, body FROM notes", "keep": true}});
    let one = json!({"query": {"sql": "SELECT 1"}});
    let answers = warehouse.steps(
        "two",
        json!([
            all, one, {"begin": {}}, {"read_kept": {"rows": 5}},
            // Another connection serves meanwhile; there is no third.
            {"open": {}}, one, {"open": {}},
            {"close": {}}, {"drop_kept": {}}, one,
            // Dropped in a transaction, it does not undo what came before.
            {"begin": {}},
            {"execute": {"sql": "INSERT INTO notes VALUES (0, 'kept')"}},
            all, {"read_kept": {"rows": 5}}, {"commit": {}}, {"drop_kept": {}}, {"commit": {}},
        ]),
    );
    assert_eq!(answers[1], json!({"error": "busy"}));
    assert_eq!(answers[2], json!({"error": "busy"}));
    assert_eq!(answers[3], json!({"rows": 5}));
    assert_eq!(answers[5]["rows"], json!([[1]]), "{answers}");
    assert!(denied(&answers[6], "limit-reached"), "{answers}");
    assert_eq!(answers[9]["rows"], json!([[1]]), "{answers}");
    assert_eq!(answers[14], json!({"error": "busy"}), "{answers}");
    assert_eq!(answers[16], "committed", "{answers}");
    assert_eq!(
        warehouse.one("SELECT body FROM notes WHERE id = 0").await,
        "kept"
    );
    warehouse.nothing_is_left().await;
}

#[tokio::test]
async fn the_limits_of_the_grant_hold() {
    let warehouse = Warehouse::start().await;
    warehouse
        .postgres
        .ask("INSERT INTO notes SELECT n, repeat('x', 100) FROM generate_series(1, 2000) n")
        .await
        .unwrap();
    let small = "max_rows = 1000\nmax_bytes = \"64KiB\"\nstatement_timeout = \"300ms\"\n";
    warehouse.grant("small", DYNAMIC, EVERYTHING, small);
    let finished = warehouse.run(
        "small",
        json!([
            {"query": {"sql": "SELECT id FROM notes WHERE id <= 1000", "count": true}},
            {"query": {"sql": "SELECT id FROM notes", "count": true}},
            {"query": {"sql": "SELECT body FROM notes WHERE id <= 900", "count": true}},
            {"query": {"sql": "SELECT repeat('x', 200000)"}},
            {"execute": {"sql": "INSERT INTO notes VALUES (0, $1)", "params": [{"long": 70000}]}},
            {"copy_in": {"sql": "COPY notes FROM STDIN", "chunks": ["9\tx\n"], "times": 20000}},
            {"copy_out": {"sql": "COPY notes TO STDOUT", "count": true}},
            {"query": {"sql": "SELECT count(*) FROM notes a, notes b, notes c"}},
            {"query": {"sql": "SELECT count(*) FROM notes"}},
        ]),
    );
    let answers = finished.result().unwrap();
    assert_eq!(answers[0], json!({"rows": 1000}), "{answers}");
    assert_eq!(answers[1], json!({"error": "too-many-rows", "limit": 1000}));
    let too_large = json!({"error": "too-large", "limit": 65536});
    for step in [2, 3, 4, 5, 6] {
        assert_eq!(answers[step], too_large, "{step}: {answers}");
    }
    assert_eq!(answers[7], json!({"error": "timeout"}));
    assert_eq!(answers[8]["rows"], json!([[2000]]), "{answers}");
    let report = finished.report().unwrap();
    assert_eq!(
        report["limits"],
        json!(["sql.db.max_bytes", "sql.db.max_rows"])
    );
    warehouse.nothing_is_left().await;
}

#[tokio::test]
async fn what_the_server_says_is_told_by_its_code() {
    let warehouse = Warehouse::start().await;
    warehouse.grant("told", DYNAMIC, EVERYTHING, "show_messages = true\n");
    let steps = json!([
        {"execute": {"sql": INSERT, "params": ["null", {"numeric": "1"}]}},
        {"execute": {"sql": INSERT, "params": [{"text": "a"}, {"numeric": "-1"}]}},
        {"query": {"sql": "SELECT id,\n  missing FROM notes"}},
        {"query": {"sql": "SELECT 1 / (id - id) FROM notes"}},
        {"query": {"sql": "SELECT $1::int", "params": [{"text": "x"}]}},
        {"query": {"sql": "SELECT id FROM notes WHERE id = $1", "params": [{"boolean": true}]}},
        {"query": {"sql": "SELECT '10.0.0.1'::inet"}},
    ]);
    warehouse
        .postgres
        .ask("INSERT INTO notes VALUES (1, 'x')")
        .await
        .unwrap();
    for (task, messages) in [("load", false), ("told", true)] {
        let answers = warehouse.steps(task, steps.clone());
        for (step, error, code) in [
            (0, "constraint", "23502"),
            (1, "constraint", "23514"),
            (2, "syntax", "42703"),
            (3, "statement", "22012"),
            (4, "statement", "22P02"),
        ] {
            assert_eq!(answers[step]["error"], error, "{answers}");
            assert_eq!(answers[step]["sqlstate"], code, "{answers}");
            assert_eq!(answers[step]["message"].is_string(), messages, "{answers}");
        }
        // The place in the task's own text, whatever was sent.
        assert_eq!(answers[2]["position"], 14, "{answers}");
        assert_eq!(answers[5], json!({"error": "parameter", "number": 1}));
        assert_eq!(
            answers[6],
            json!({"error": "column", "number": 1}),
            "{answers}"
        );
    }
}

#[tokio::test]
async fn the_audit_names_each_statement() {
    let warehouse = Warehouse::start().await;
    warehouse.grant("written", DYNAMIC, EVERYTHING, "audit_text = true\n");
    let select = "SELECT o.id FROM orders o JOIN notes n ON n.id = o.id -- why";
    let steps = json!([
        {"query": {"sql": select}},
        {"execute": {"sql": "INSERT INTO notes VALUES ($1, $2)",
                     "params": [{"int32": 1}, {"text": "somebody's own"}]}},
        {"query": {"sql": "SELECT name FROM salaries"}},
        {"query": {"sql": "SELEKT"}},
        {"execute": {"sql": "INSERT INTO notes VALUES (1, 'again')"}},
    ]);
    warehouse.steps("written", steps.clone());
    let intents = warehouse.audit(&["intent"]);
    let operations: Vec<_> = intents
        .iter()
        .map(|it| it["operation"].as_str().unwrap())
        .collect();
    assert_eq!(
        operations,
        ["connect", "query", "execute", "query", "query", "execute"]
    );
    let statement = &intents[1]["statement"];
    assert_eq!(statement["kind"], "select");
    assert_eq!(
        statement["tables"],
        json!(["public.notes", "public.orders"])
    );
    assert_eq!(
        statement["digest"],
        format!("sha256:{}", hex::encode(Sha256::digest(select)))
    );
    assert_eq!(statement["text"], select);
    let user = statement["user"].as_str().unwrap();
    assert!(user.starts_with("v-"), "{user}");
    assert_eq!(intents[3]["decision"], "out_of_scope");
    assert_eq!(intents[3]["reason"], "table_not_granted");
    assert_eq!(intents[4]["decision"], "invalid");
    assert_eq!(intents[4]["statement"]["user"], Value::Null);
    let outcomes = warehouse.audit(&["outcome"]);
    assert_eq!(outcomes[1]["detail"]["rows"], 0, "{outcomes:?}");
    assert_eq!(outcomes[2]["detail"]["rows"], 1);
    assert!(outcomes[2]["detail"]["bytes_sent"].as_u64().unwrap() >= 14);
    assert_eq!(outcomes[3]["reason"], "constraint 23505");
    let whole = format!("{intents:?}{outcomes:?}");
    assert!(!whole.contains("somebody's own"), "{whole}");

    // Without the grant's word there is a digest and no text.
    warehouse.steps("load", steps);
    let intents = warehouse.audit(&["intent"]);
    let statements: Vec<_> = intents[6..]
        .iter()
        .filter_map(|it| it.get("statement"))
        .collect();
    assert_eq!(statements.len(), 5);
    assert!(
        statements.iter().all(|it| it.get("text").is_none()),
        "{statements:?}"
    );
}

#[tokio::test]
async fn tls_is_verified_and_sockets_are_taken() {
    let authority = Authority::new("the database's own").unwrap();
    let issued = authority.server(&["localhost"]).unwrap();
    let warehouse = Warehouse::with(Options {
        tls: Some(issued),
        ..Options::default()
    })
    .await;
    let port = warehouse.postgres.port();
    let scope = format!("{DYNAMIC}{EVERYTHING}");
    let server = format!("[sql.db]\nserver = \"localhost:{port}/app\"\nnetwork = \"loopback\"\n");
    let ca = format!("ca = '''\n{}'''\n", authority.pem());
    let stranger = format!(
        "ca = '''\n{}'''\n",
        Authority::new("a stranger").unwrap().pem()
    );
    let folder = warehouse.postgres.socket_folder().display().to_string();
    let install = |grants: String| {
        crate::common::install(&warehouse.world, "tls", "probe-sql", &grants);
    };
    let ssl = json!([{"query": {"sql": "SELECT 1"}}]);
    let tls = json!({"error": "connection", "kind": "tls"});

    install(format!("{server}{ca}{scope}"));
    assert_eq!(warehouse.steps("tls", ssl.clone())[0]["rows"], json!([[1]]));
    for (what, grants) in [
        ("the system's authorities", format!("{server}{scope}")),
        ("another authority", format!("{server}{stranger}{scope}")),
        (
            "another name",
            format!("{server}{ca}{scope}").replace("localhost:", "127.0.0.1:"),
        ),
    ] {
        install(grants);
        assert_eq!(warehouse.steps("tls", ssl.clone())[0], tls, "{what}");
    }
    install(format!(
        "[sql.db]\nserver = \"unix:{folder}:{port}/app\"\nplain = true\n{scope}"
    ));
    assert_eq!(warehouse.steps("tls", ssl.clone())[0]["rows"], json!([[1]]));
    warehouse.nothing_is_left().await;
}

#[tokio::test]
async fn places_that_are_not_granted_are_not_reached() {
    let warehouse = Warehouse::start().await;
    let port = warehouse.bao().socket().port();
    // Bound and never listened at: nobody else gets it, nobody answers.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = nobody.local_addr().unwrap().port();
    let one = json!([{"query": {"sql": "SELECT 1"}}, {"other": "nothing"}]);
    for (server, error, kind) in [
        (format!("127.0.0.1:{port}/app"), "denied", "out-of-scope"),
        (format!("localhost:{port}/app"), "denied", "out-of-scope"),
        (format!("127.0.0.1:{closed}/app"), "connection", "connect"),
        (
            "no-such-name.invalid:5432/app".to_owned(),
            "connection",
            "dns",
        ),
    ] {
        let network = if server.contains("invalid") {
            ""
        } else {
            "network = \"loopback\"\nplain = true\n"
        };
        let grants = format!("[sql.db]\nserver = \"{server}\"\n{network}{DYNAMIC}{EVERYTHING}");
        crate::common::install(&warehouse.world, "lost", "probe-sql", &grants);
        let answers = warehouse.steps("lost", one.clone());
        assert_eq!(answers[0]["error"], error, "{server}: {answers}");
        assert_eq!(answers[0]["kind"], kind, "{server}: {answers}");
        assert!(denied(&answers[1], "not-granted"), "{answers}");
    }
    // The wrong database, and a password that nobody has.
    let grants = warehouse.server().replace("/app", "/nowhere") + DYNAMIC + EVERYTHING;
    crate::common::install(&warehouse.world, "lost", "probe-sql", &grants);
    let answers = warehouse.steps("lost", one.clone());
    assert_eq!(
        answers[0],
        json!({"error": "connection", "kind": "authentication"})
    );
    warehouse
        .postgres
        .ask("ALTER ROLE reporter PASSWORD 'another'")
        .await
        .unwrap();
    warehouse.grant("lost", super::world::FIXED, EVERYTHING, "");
    let answers = warehouse.steps("lost", one);
    assert_eq!(
        answers[0],
        json!({"error": "connection", "kind": "authentication"})
    );
    warehouse.nothing_is_left().await;
}

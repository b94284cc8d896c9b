//! A lease that ends while its user works, by its own time or by somebody's hand.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::world::{DYNAMIC, EVERYTHING, LEASES, Warehouse};
use crate::common::{SOON, ended};

/// More rows than all the buffers between server and task hold.
async fn start() -> Warehouse {
    let warehouse = Warehouse::start().await;
    warehouse
        .postgres
        .ask("INSERT INTO notes SELECT n, repeat('x', 1000) FROM generate_series(1, 40000) n")
        .await
        .unwrap();
    warehouse
}

/// Ends the one lease there is, as Vault's operator may at any time.
async fn revoke(warehouse: &Warehouse) {
    let leases = warehouse.bao().leases(LEASES).await.unwrap();
    assert_eq!(leases.len(), 1);
    let body = json!({"lease_id": leases[0], "sync": true});
    let (status, answer) = warehouse
        .bao()
        .root("POST", "sys/leases/revoke", Some(body))
        .await
        .unwrap();
    assert_eq!(status, 204, "{answer}");
    assert_eq!(warehouse.users().await, Vec::<String>::new());
    assert_eq!(warehouse.sessions().await, 0);
}

fn is_expired(answer: &Value) -> bool {
    answer["error"] == "denied" && answer["kind"] == "expired"
}

#[tokio::test]
async fn a_lease_that_ends_under_an_open_cursor_is_told_as_expired() {
    const READS: usize = 50;
    let warehouse = start().await;
    let input = |pause: u64| {
        let mut steps = vec![
            json!({"query": {"sql": "SELECT id, body FROM notes", "keep": true}}),
            json!({"read_kept": {"rows": 5}}),
            json!({"sleep": {"ms": pause}}),
        ];
        steps.extend(vec![json!({"read_kept": {"rows": 1000}}); READS]);
        steps.push(json!({"query": {"sql": "SELECT 1"}}));
        json!({"do": "sql", "grant": "db", "steps": steps})
    };

    // Positive control: under a lease that lives, it is read to its end.
    let run = warehouse.world.run("load").input(input(1));
    let finished = run.finish().unwrap();
    let answers = finished.result().unwrap();
    let reads = &answers.as_array().unwrap()[3..3 + READS];
    let rows: u64 = reads.iter().filter_map(|it| it["rows"].as_u64()).sum();
    assert_eq!(rows, 40_000 - 5);

    let run = warehouse.world.run("load").input(input(3000));
    let child = run.command().spawn().unwrap();
    let begun = Instant::now();
    while warehouse.running().await.is_empty() {
        assert!(begun.elapsed() < SOON, "nothing runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    revoke(&warehouse).await;
    let finished = ended(child);
    assert_eq!(finished.code, 0, "{finished:?}");
    let answers = finished.result().unwrap();
    let answers = answers.as_array().unwrap();
    assert_eq!(answers[1], json!({"rows": 5}));
    // What had arrived is read; then it is over, and stays so.
    let first = answers.iter().position(|it| it["error"].is_string());
    let first = first.unwrap();
    assert!((3..3 + READS).contains(&first), "{first}");
    for answer in &answers[first..] {
        assert!(is_expired(answer), "{answer}");
    }
    let report = finished.report().unwrap();
    let denied = |operation: &str| json!({"grant": "sql.db", "operation": operation, "decision": "expired", "count": 1});
    assert_eq!(
        report["denials"],
        json!([denied("query"), denied("connect")])
    );
    assert_eq!(
        report["revocation"],
        json!({"complete": true, "leases": {"revoked": 1, "left": 0}})
    );
    let outcomes = warehouse.audit(&["outcome"]);
    let [.., query, connect] = outcomes.as_slice() else {
        panic!("{outcomes:?}");
    };
    for outcome in [query, connect] {
        assert_eq!(outcome["outcome"], "denied", "{outcome}");
        assert_eq!(outcome["reason"], "lease_ended", "{outcome}");
    }
    let read: u64 = answers.iter().filter_map(|it| it["rows"].as_u64()).sum();
    assert_eq!(query["detail"]["rows"], read);
    warehouse.nothing_is_left().await;
}

#[tokio::test]
async fn a_lease_that_ends_between_statements_is_told_as_expired() {
    let warehouse = start().await;
    let one = json!({"query": {"sql": "SELECT 1"}});
    for (before, after) in [
        (one.clone(), one.clone()),
        (json!({"begin": {}}), json!({"commit": {}})),
    ] {
        let steps = [
            one.clone(),
            before.clone(),
            json!({"sleep": {"ms": 2500}}),
            one.clone(),
            after,
        ];
        let input = json!({"do": "sql", "grant": "db", "steps": steps});
        let run = warehouse.world.run("load").input(input);
        let child = run.command().spawn().unwrap();
        let begun = Instant::now();
        while warehouse.sessions().await == 0 {
            assert!(begun.elapsed() < SOON, "no session");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        revoke(&warehouse).await;
        let finished = ended(child);
        let answers = finished.result().unwrap();
        let (good, bad) = answers.as_array().unwrap().split_at(3);
        assert!(
            good.iter().all(|it| it["error"].is_null()),
            "{before}: {answers}"
        );
        assert!(bad.iter().all(is_expired), "{before}: {answers}");
        warehouse.nothing_is_left().await;
    }
}

/// Gives the leases of `writer` this life. The statements stay those that our
/// own command wrote.
async fn live(warehouse: &Warehouse, ttl: &str, max_ttl: &str) {
    let path = "database/roles/writer";
    let (status, role) = warehouse.bao().root("GET", path, None).await.unwrap();
    assert_eq!(status, 200, "{role}");
    let mut role = role["data"].clone();
    role["default_ttl"] = json!(ttl);
    role["max_ttl"] = json!(max_ttl);
    let (status, answer) = warehouse
        .bao()
        .root("POST", path, Some(role))
        .await
        .unwrap();
    assert!(matches!(status, 200 | 204), "{answer}");
}

#[tokio::test]
async fn a_cursor_and_a_transaction_outlive_renewals() {
    let warehouse = start().await;
    live(&warehouse, "3s", "1h").await;
    let signs = "ALTER TABLE orders ALTER customer SET DEFAULT current_user";
    warehouse.postgres.ask(signs).await.unwrap();
    warehouse.grant("long", DYNAMIC, EVERYTHING, "max_connections = 2\n");
    let sign =
        json!({"query": {"sql": "INSERT INTO orders (amount) VALUES (1) RETURNING customer"}});
    let mut steps = vec![
        json!({"query": {"sql": "SELECT id, body FROM notes", "keep": true}}),
        json!({"read_kept": {"rows": 5}}),
        json!({"open": {}}),
        json!({"begin": {}}),
        sign.clone(),
        json!({"sleep": {"ms": 7000}}),
        sign.clone(),
        json!({"commit": {}}),
        json!({"drop_transaction": {}}),
        // The user's own end moved along: it can log in.
        json!({"close": {}}),
        json!({"open": {}}),
        sign,
    ];
    // To its end, and not only what had arrived before.
    let before = steps.len();
    steps.extend(vec![json!({"read_kept": {"rows": 1000}}); 50]);
    let begun = Instant::now();
    let answers = warehouse.steps("long", json!(steps));
    let took = begun.elapsed().as_secs();
    let answers = answers.as_array().unwrap();
    assert_eq!(answers[7], "committed", "{answers:?}");
    let user = answers[4]["rows"][0][0].as_str().unwrap();
    assert!(user.starts_with("v-"), "{answers:?}");
    for step in [6, 11] {
        assert_eq!(answers[step]["rows"], json!([[user]]), "{answers:?}");
    }
    let rows = answers[before..].iter().map(|it| it["rows"].as_u64());
    assert_eq!(rows.map(Option::unwrap).sum::<u64>(), 40_000 - 5);
    assert_eq!(warehouse.one("SELECT count(*) FROM orders").await, "3");
    // After 2.1 to 2.2 s each, however long a busy machine takes for all of it.
    let renewals = warehouse.bao().answers_to("sys/leases/renew").unwrap();
    let most = usize::try_from(took / 2).unwrap() + 1;
    assert!(
        (2..=most).contains(&renewals.len()),
        "{} in {took} s",
        renewals.len()
    );
    assert_eq!(warehouse.audit(&["lease_opened"]).len(), 1);
    warehouse.nothing_is_left().await;
}

#[tokio::test]
async fn a_lease_that_cannot_be_renewed_ends_an_open_transaction() {
    let warehouse = Warehouse::start().await;
    live(&warehouse, "3s", "4s").await;
    let signs = "ALTER TABLE orders ALTER customer SET DEFAULT current_user";
    warehouse.postgres.ask(signs).await.unwrap();
    let again = DYNAMIC.replace("creds/writer\"", "creds/writer\", refresh = \"refetch\"");
    warehouse.grant("once", DYNAMIC, EVERYTHING, "");
    warehouse.grant("again", &again, EVERYTHING, "");
    let sign =
        json!({"query": {"sql": "INSERT INTO orders (amount) VALUES (1) RETURNING customer"}});
    let steps = json!([
        sign,
        {"begin": {}},
        sign,
        {"sleep": {"ms": 6000}},
        sign,
        {"commit": {}},
        sign,
    ]);
    for (task, refetches) in [("once", false), ("again", true)] {
        warehouse.postgres.ask("TRUNCATE orders").await.unwrap();
        let finished = warehouse.run(task, steps.clone());
        assert_eq!(finished.code, 0, "{finished:?}");
        let answers = finished.result().unwrap();
        let user = answers[0]["rows"][0][0].as_str().unwrap();
        assert!(user.starts_with("v-"), "{task}: {answers}");
        assert_eq!(answers[2]["rows"], json!([[user]]), "{task}: {answers}");
        for step in [4, 5] {
            assert!(is_expired(&answers[step]), "{task}: {step}: {answers}");
        }
        // What was not committed went with the user.
        let kept = if refetches {
            let next = answers[6]["rows"][0][0].as_str().unwrap();
            assert!(next.starts_with("v-") && next != user, "{answers}");
            "2"
        } else {
            assert!(is_expired(&answers[6]), "{answers}");
            "1"
        };
        assert_eq!(warehouse.one("SELECT count(*) FROM orders").await, kept);
        let report = finished.report().unwrap();
        let revoked = json!({"revoked": if refetches { 2 } else { 1 }, "left": 0});
        assert_eq!(report["revocation"]["leases"], revoked, "{task}: {report}");
        assert_eq!(report["denials"][0]["decision"], "expired", "{report}");
        warehouse.nothing_is_left().await;
    }
}

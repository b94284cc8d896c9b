//! Credentials that change while a task runs.

use cofferdam_devkit::postgres::StaticRole;
use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use cofferdam_devkit::world::Finished;
use serde_json::{Value, json};

use super::world::{Leasing, calls_for};
use crate::common::{SOON, ended};

const KV: &str = "kv2 = { mount = \"secret\", path = \"api\" }";
const STATIC: &str = "static = { mount = \"database\", role = \"batch\" }";

/// The API refuses each of these calls.
fn refused_calls(times: u32) -> Value {
    json!({"do": "http", "grant": "api", "path": "status/401", "times": times})
}

/// Runs the task; something else happens while its first call is under way.
async fn meanwhile(
    leasing: &Leasing,
    source: &str,
    input: Value,
    something: impl AsyncFnOnce(),
) -> Finished {
    let wire = Proxy::start(leasing.upstream.socket()).unwrap();
    leasing.calls_with(&wire.address(), source);
    let held = wire.inject(Rule::on("GET", "", Fault::HoldRequest).times(1));
    let run = leasing.world.run("caller").input(input);
    let child = run.command().spawn().unwrap();
    held.wait_hit(SOON).unwrap();
    something().await;
    held.release();
    let finished = ended(child);
    assert_eq!(finished.code, 0, "{finished:?}");
    finished
}

async fn put(leasing: &Leasing, password: &str) {
    let fields = json!({"data": {"username": "somebody", "password": password}});
    let (status, _) = leasing
        .bao()
        .root("POST", "secret/data/api", Some(fields))
        .await
        .unwrap();
    assert_eq!(status, 200);
}

fn passwords(leasing: &Leasing) -> Vec<String> {
    let pairs = leasing.pairs().into_iter();
    pairs.map(|(_, password)| password).collect()
}

#[tokio::test]
async fn a_secret_that_was_rotated_is_read_again_when_a_server_refuses_the_old_one() {
    let leasing = Leasing::start("1h", "4h", "").await;
    put(&leasing, "old-password").await;
    let finished = meanwhile(&leasing, KV, refused_calls(20), async || {
        put(&leasing, "new-password").await;
    })
    .await;
    let used = passwords(&leasing);
    assert_eq!(used[0], "old-password");
    assert_eq!(used.len(), 20);
    assert!(
        used[1..].iter().all(|used| used == "new-password"),
        "{used:?}"
    );
    // The first read; the one that found the new value; one that found no newer.
    let root = |answer: &Value| answer["auth"]["policies"] == json!(["root"]);
    let reads = leasing.bao().answers_to("secret/data/api").unwrap();
    assert_eq!(reads.iter().filter(|read| !root(read)).count(), 3);
    // The old one is still kept out of what leaves.
    assert!(!finished.stdout.contains("old-password"));
    leasing.nothing_is_left().await;
}

#[tokio::test]
async fn a_secret_that_no_server_refuses_is_read_once() {
    let leasing = Leasing::start("1h", "4h", "").await;
    put(&leasing, "old-password").await;
    let input = json!({"do": "http", "grant": "api", "path": "status/200", "times": 5});
    meanwhile(&leasing, KV, input, async || {
        put(&leasing, "new-password").await;
    })
    .await;
    assert!(
        passwords(&leasing)
            .iter()
            .all(|used| used == "old-password")
    );
}

#[tokio::test]
async fn a_static_role_is_read_again_when_a_server_refuses_it() {
    let leasing = Leasing::start("1h", "4h", "").await;
    let role = StaticRole {
        name: "batch",
        user: "batch",
        period: "1h",
    };
    leasing
        .bao()
        .static_role(&leasing.postgres, &role)
        .await
        .unwrap();
    meanwhile(&leasing, STATIC, refused_calls(5), async || {
        let (status, _) = leasing
            .bao()
            .root("POST", "database/rotate-role/batch", Some(json!({})))
            .await
            .unwrap();
        assert_eq!(status, 204);
    })
    .await;
    let (_, now) = leasing
        .bao()
        .root("GET", "database/static-creds/batch", None)
        .await
        .unwrap();
    let used = leasing.pairs();
    assert!(used.iter().all(|(user, _)| user == "batch"));
    assert_ne!(used[0].1, now["data"]["password"]);
    assert!(
        used[1..]
            .iter()
            .all(|(_, used)| *used == now["data"]["password"])
    );
}

#[tokio::test]
async fn a_static_role_is_read_again_when_its_time_is_over() {
    let leasing = Leasing::start("1h", "4h", "").await;
    let role = StaticRole {
        name: "batch",
        user: "batch",
        period: "5s",
    };
    leasing
        .bao()
        .static_role(&leasing.postgres, &role)
        .await
        .unwrap();
    leasing.calls_with(&leasing.upstream.address(), STATIC);
    let run = leasing.world.run("caller").input(calls_for(12));
    let finished = run.finish().unwrap();
    assert_eq!(finished.code, 0, "{finished:?}");
    let mut used = passwords(&leasing);
    assert_eq!(used.len(), 24);
    used.dedup();
    assert!((2..=4).contains(&used.len()), "{} passwords", used.len());
    // Vault rotates up to five seconds late, and is asked once a second then.
    let reads = leasing.bao().answers_to("database/static-creds").unwrap();
    assert!((2..=13).contains(&reads.len()), "{}", reads.len());
    let report = finished.report().unwrap();
    assert_eq!(report["revocation"], json!({"complete": true}), "no lease");
}

#[tokio::test]
async fn a_lease_that_somebody_revoked_is_noticed_when_a_server_refuses_the_user() {
    for (refresh, users) in [(", refresh = \"refetch\"", 2), ("", 1)] {
        let leasing = Leasing::start("1h", "4h", "").await;
        let source =
            format!("dynamic = {{ mount = \"database\", path = \"creds/reader\"{refresh} }}");
        let finished = meanwhile(&leasing, &source, refused_calls(100), async || {
            let lease = leasing.leases().await.remove(0);
            let body = json!({"lease_id": lease, "sync": true});
            let (status, _) = leasing
                .bao()
                .root("POST", "sys/leases/revoke", Some(body))
                .await
                .unwrap();
            assert_eq!(status, 204);
        })
        .await;
        let mut called = leasing.callers();
        called.dedup();
        assert_eq!(called.len(), users, "{refresh}");
        let report = finished.report().unwrap();
        let denied = report["denials"][0]["decision"].as_str();
        assert_eq!(denied, (users == 1).then_some("expired"), "{report}");
        let renewals = leasing.bao().answers_to("sys/leases/renew").unwrap().len();
        assert_eq!(renewals, users, "each user was asked about once");
        leasing.nothing_is_left().await;
    }
}

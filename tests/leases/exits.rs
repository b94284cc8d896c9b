//! However a run ends, its database user is gone when it has ended.

use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use rustix::process::Signal;
use serde_json::json;

use super::world::Leasing;
use crate::common::{SOON, ended, get, journal, signal, sweep};

#[tokio::test]
async fn every_end_of_a_guest_ends_its_user() {
    let leasing = Leasing::start("1h", "4h", "").await;
    leasing.calls(&leasing.upstream.address(), "");
    for (then, code) in [
        (json!({"do": "echo", "value": 1}), 0),
        (json!({"do": "fail", "message": "no"}), 1),
        (json!({"do": "retry", "message": "later"}), 75),
        (json!({"do": "trap"}), 6),
        (json!({"do": "panic", "message": "oh"}), 6),
        (json!({"do": "deep_recursion"}), 6),
    ] {
        leasing.upstream.forget();
        let input = json!({
            "do": "http", "grant": "api", "path": "status/200", "times": 3, "then": then,
        });
        let finished = leasing.world.run("caller").input(input).finish().unwrap();
        assert_eq!(finished.code, code, "{then}: {finished:?}");
        let report = finished.report().unwrap();
        assert_eq!(
            report["revocation"],
            json!({"complete": true, "leases": {"revoked": 1, "left": 0}}),
            "{then}"
        );
        let users = leasing.callers();
        assert_eq!(users.len(), 3, "{finished:?}");
        assert!(
            users.iter().all(|user| *user == users[0]),
            "one user: {users:?}"
        );
        assert!(!finished.stdout.contains(&users[0]), "{finished:?}");
        assert!(journal(&leasing.world).is_empty());
    }
    assert_eq!(leasing.audit("lease_opened").len(), 6);
    let closed = leasing.audit("lease_closed");
    assert!(closed.len() == 6 && closed.iter().all(|line| line["revoked"] == true));
    leasing.nothing_is_left().await;
}

#[tokio::test]
async fn a_loop_that_times_out_and_a_cancelled_run_end_their_users() {
    let leasing = Leasing::start("1h", "4h", "").await;
    let wire = Proxy::start(leasing.upstream.socket()).unwrap();
    leasing.calls(&wire.address(), "");
    let grants = std::fs::read_to_string(leasing.world.path("grants/caller.toml")).unwrap();
    let short = grants.replace("timeout = \"20s\"", "timeout = \"2s\"");
    leasing.world.write("grants/caller.toml", &short).unwrap();
    let input = json!({
        "do": "http", "grant": "api", "path": "status/200", "then": {"do": "spin"},
    });
    let finished = leasing.world.run("caller").input(input).finish().unwrap();
    assert_eq!(finished.code, 5, "{finished:?}");
    leasing.nothing_is_left().await;

    // In the middle of a call, under a credential that is in use.
    let held = wire.inject(Rule::on("GET", "status", Fault::HoldRequest).times(1));
    let run = leasing.world.run("caller").input(get("status/200"));
    let child = run.command().spawn().unwrap();
    held.wait_hit(SOON).unwrap();
    assert_eq!(leasing.users().await.len(), 1);
    assert_eq!(leasing.leases().await.len(), 1);
    signal(&child, Signal::TERM);
    let finished = ended(child);
    assert_eq!(finished.code, 130, "{finished:?}");
    leasing.nothing_is_left().await;
}

#[tokio::test]
async fn a_sweep_ends_the_user_of_a_killed_run() {
    let leasing = Leasing::start("1h", "4h", "").await;
    let wire = Proxy::start(leasing.upstream.socket()).unwrap();
    leasing.calls(&wire.address(), "");
    let held = wire.inject(Rule::on("GET", "status", Fault::HoldRequest).times(1));
    let run = leasing.world.run("caller").input(get("status/200"));
    let mut child = run.command().spawn().unwrap();
    held.wait_hit(SOON).unwrap();
    // The journal names the lease before its credential is used.
    let lease = leasing.leases().await.remove(0);
    let records = journal(&leasing.world);
    assert!(records.iter().any(|record| record.text.contains(&lease)));

    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        leasing.users().await.len(),
        1,
        "the kill ended it by itself"
    );
    let (code, report) = sweep(&leasing.world);
    assert_eq!(code, 0, "{report}");
    let attempt = &report["found"][0];
    assert_eq!(attempt["outcome"], "revoked", "{report}");
    assert_eq!(
        attempt["leases"],
        json!({"revoked": 1, "left": 0}),
        "{report}"
    );
    assert!(!report.to_string().contains(&lease), "{report}");
    // At once: the sweep waited for it.
    assert_eq!(leasing.users().await, Vec::<String>::new());
    assert!(journal(&leasing.world).is_empty());
    leasing.nothing_is_left().await;
}

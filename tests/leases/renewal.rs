//! Leases that are shorter than their task.

use std::time::{Duration, Instant};

use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use serde_json::json;

use super::world::{Leasing, calls_for};

const RENEWALS: &str = "sys/leases/renew";

#[tokio::test]
async fn a_lease_is_renewed_while_the_task_runs() {
    let leasing = Leasing::start("3s", "1h", "").await;
    let run = leasing.world.run("caller").input(calls_for(7));
    let finished = run.finish().unwrap();
    assert_eq!(finished.code, 0, "{finished:?}");
    let users = leasing.callers();
    assert_eq!(users.len(), 14);
    assert!(users.iter().all(|user| *user == users[0]), "{users:?}");
    // After 2.1 to 2.2 s each.
    let renewals = leasing.bao().answers_to(RENEWALS).unwrap().len();
    assert!((3..=4).contains(&renewals), "{renewals}");
    let told = leasing.audit("lease_renewed");
    assert_eq!(told.len(), renewals);
    assert_eq!((&told[0]["lease"], &told[0]["ttl"]), (&json!(1), &json!(3)));
    leasing.nothing_is_left().await;
}

#[tokio::test]
async fn at_its_max_ttl_a_lease_is_replaced_when_the_grant_says_so() {
    let leasing = Leasing::start("3s", "4s", ", refresh = \"refetch\"").await;
    let run = leasing.world.run("caller").input(calls_for(8));
    let finished = run.finish().unwrap();
    assert_eq!(finished.code, 0, "{finished:?}");
    let answers = finished.result().unwrap();
    let statuses: Vec<_> = answers.as_array().unwrap().iter().collect();
    assert!(
        statuses.iter().all(|answer| answer["status"] == 200),
        "the task notices nothing: {answers}"
    );
    let mut users = leasing.callers();
    users.dedup();
    assert!((2..=4).contains(&users.len()), "{users:?}");
    let opened = leasing.audit("lease_opened");
    let generations: Vec<_> = opened.iter().map(|it| it["generation"].as_u64()).collect();
    let expected: Vec<_> = (1..=opened.len() as u64).map(Some).collect();
    assert_eq!(generations, expected);
    assert_eq!(opened.len(), users.len());
    let given_up = leasing.audit("lease_given_up");
    assert!(!given_up.is_empty(), "{opened:?}");
    let report = finished.report().unwrap();
    let revoked = json!({"revoked": users.len(), "left": 0});
    assert_eq!(report["revocation"]["leases"], revoked);
    leasing.nothing_is_left().await;
}

#[tokio::test]
async fn at_its_max_ttl_a_lease_ends_the_calls_when_the_grant_does_not() {
    let leasing = Leasing::start("3s", "4s", "").await;
    let run = leasing.world.run("caller").input(calls_for(6));
    let finished = run.finish().unwrap();
    assert_eq!(finished.code, 0, "{finished:?}");
    let answers = finished.result().unwrap();
    let answers = answers.as_array().unwrap();
    let (good, bad): (Vec<_>, Vec<_>) = answers.iter().partition(|it| it["status"] == 200);
    // Four seconds of calls that take four to five tenths each.
    assert!((7..=10).contains(&good.len()), "{answers:?}");
    assert!(!bad.is_empty());
    for answer in bad {
        assert!(answer.to_string().contains("expired"), "{answer}");
    }
    assert_eq!(leasing.audit("lease_opened").len(), 1);
    let report = finished.report().unwrap();
    assert_eq!(report["denials"][0]["decision"], "expired", "{report}");
    leasing.nothing_is_left().await;
}

#[tokio::test]
async fn renewals_that_fail_for_ever_are_few() {
    for fault in [
        Fault::Status(403, None),
        Fault::Status(500, None),
        Fault::Reset,
    ] {
        let leasing = Leasing::start("6s", "1h", ", refresh = \"refetch\"").await;
        let vault = Proxy::start(leasing.bao().socket()).unwrap();
        leasing.world.vault_at(&vault.address()).unwrap();
        let refused = vault.inject(Rule::on("POST", RENEWALS, fault.clone()));
        let begun = Instant::now();
        let run = leasing.world.run("caller").input(calls_for(9));
        let finished = run.finish().unwrap();
        assert_eq!(finished.code, 0, "{fault:?}: {finished:?}");
        assert!(begun.elapsed() < Duration::from_secs(15));
        // One after 4 s, another in what is left; then the same again at most.
        assert!(
            (1..=4).contains(&refused.hits()),
            "{fault:?}: {}",
            refused.hits()
        );
        let mut users = leasing.callers();
        users.dedup();
        assert_eq!(users.len(), 2, "{fault:?}");
        leasing.nothing_is_left().await;
    }
}

//! What an attempt costs at Vault, counted by the server's own audit and, for
//! what it does not audit, on the wire. Log-in and health belong to the process
//! and not to the attempt: both were done by the first one.

use cofferdam_devkit::proxy::Proxy;
use cofferdam_devkit::world::World;
use serde_json::{Value, json};

use crate::common::{install, world};
use crate::in_process::{attempt, audit_of, runner};

const REVEAL: &str = "[reveal.legacy]\nreason = \"test\"\n";

fn secret(more: &str) -> String {
    let kv2 = "mount = \"secret\", path = \"api\", field = \"token\"";
    format!("{REVEAL}credential = {{ kv2 = {{ {kv2}{more} }} }}\n")
}

/// The paths that were asked for since the last time.
fn asked(world: &World, seen: &mut usize) -> Vec<String> {
    let answers = world.bao().unwrap().answers().unwrap();
    let paths = answers.iter().skip(*seen).map(|answer| {
        let path = answer["request"]["path"].as_str();
        path.unwrap().to_owned()
    });
    let paths = paths.collect();
    *seen = answers.len();
    paths
}

/// The outcome of the attempt's only call.
fn outcome(lines: &[Value]) -> &Value {
    let mut outcomes = lines.iter().filter(|line| line["event"] == "outcome");
    let outcome = outcomes.next().expect("a call");
    assert!(outcomes.next().is_none(), "one call");
    outcome
}

#[tokio::test]
async fn an_attempt_costs_three_requests_two_on_a_hit_none_without_vault() {
    let world = world().await;
    let wire = Proxy::start(world.bao().unwrap().socket()).unwrap();
    world
        .task("plain", &crate::common::guest("probe"), "")
        .unwrap();
    install(&world, "own", "probe-reveal", &secret(""));
    let cached = secret(", cache_ttl = \"30s\"");
    install(&world, "cached", "probe-reveal", &cached);
    world.vault_at(&wire.address()).unwrap();
    let runner = runner(&world);
    let (reveal, nothing) = (
        json!({"do": "reveal", "grant": "legacy"}),
        json!({"do": "env"}),
    );

    let mut seen = 0;
    asked(&world, &mut seen);
    assert_eq!(attempt(&runner, "plain", &nothing).await.exit, 0);
    assert!(asked(&world, &mut seen).is_empty());
    assert!(wire.passed().is_empty(), "not even health or log-in");

    // The process's own: once, and not again while it is fresh.
    assert_eq!(attempt(&runner, "own", &reveal).await.exit, 0);
    let first = asked(&world, &mut seen);
    assert_eq!(first.len(), 4, "{first:?}");
    assert_eq!(first[0], "auth/approle/login");
    assert_eq!(wire.passed().len(), 5, "and one question for its health");

    let (mint, read, revoke) = (
        "auth/token/create/cofferdam",
        "secret/data/api",
        "auth/token/revoke-accessor",
    );
    for _ in 0..2 {
        let before = wire.passed().len();
        let report = attempt(&runner, "own", &reveal).await;
        assert_eq!(report.exit, 0, "{report:?}");
        assert_eq!(asked(&world, &mut seen), [mint, read, revoke]);
        assert_eq!(wire.passed().len() - before, 3);
        let lines = audit_of(&report);
        assert!(outcome(&lines)["detail"]["cache_hit"].is_null());
    }

    let filling = attempt(&runner, "cached", &reveal).await;
    assert_eq!(asked(&world, &mut seen), [mint, read, revoke]);
    let filling = audit_of(&filling);
    let brought = &outcome(&filling)["vault_request_ids"];
    assert_eq!(brought.as_array().map(Vec::len), Some(1));
    let before = wire.passed().len();
    let hit = attempt(&runner, "cached", &reveal).await;
    assert_eq!(hit.exit, 0, "{hit:?}");
    assert_eq!(asked(&world, &mut seen), [mint, revoke]);
    assert_eq!(wire.passed().len() - before, 2);
    // Ours tells what the server cannot: that the secret was used once more.
    let lines = audit_of(&hit);
    assert_eq!(outcome(&lines)["detail"]["cache_hit"], 1);
    assert_eq!(&outcome(&lines)["vault_request_ids"], brought);
    let ids = &outcome(&lines)["vault_request_ids"];
    let of_server = world.bao().unwrap().answers_to(read).unwrap();
    let known = of_server.iter().any(|it| it["request"]["id"] == ids[0]);
    assert!(known, "the server has a read under this id");

    assert!(runner.close(hit).await.revocation.unwrap().complete);
    crate::common::nobody_lives(world.bao().unwrap()).await;
}

//! SIGKILL around the log-in of an attempt, then a sweep.

use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::World;
use serde_json::{Value, json};

use super::site::{configure, install, site, write};
use crate::common::{SOON, api, ended, get, journal, nobody_lives, sweep};

/// Every request of a run to Vault, in their order: method and path.
const STEPS: [(&str, &str); 7] = [
    ("GET", "sys/health"),
    ("POST", "auth/approle/login"),
    ("POST", "auth/cofferdam-jwt/login"),
    ("POST", "auth/token/lookup-accessor"),
    ("GET", "secret/data/api"),
    ("POST", "auth/token/revoke-accessor"),
    ("POST", "auth/token/revoke-self"),
];

struct Stage {
    world: World,
    vault: Proxy,
    _upstream: Upstream,
}

impl Stage {
    async fn set() -> Self {
        let world = site().await;
        let upstream = Upstream::start().unwrap();
        let vault = Proxy::start(world.bao().unwrap().socket()).unwrap();
        let grants = format!("[authority.jwt]\n\n{}", api(&upstream.address()));
        install(&world, "caller", "probe-http", &grants);
        configure(&world, &vault.address());
        Self {
            world,
            vault,
            _upstream: upstream,
        }
    }

    fn run(&self) -> cofferdam_devkit::world::Run<'_> {
        let run = self.world.run("caller").dag("billing");
        run.input(get("status/200"))
    }
}

#[tokio::test]
async fn the_steps_are_all_requests_of_a_run() {
    let stage = Stage::set().await;
    let finished = stage.run().finish().unwrap();
    assert_eq!(finished.code, 0, "{finished:?}");
    let passed = stage.vault.passed().into_iter();
    let passed: Vec<_> = passed
        .map(|one| format!("{} {}", one.method, one.target))
        .collect();
    let steps: Vec<_> = STEPS
        .iter()
        .map(|(method, path)| format!("{method} /v1/{path}"))
        .collect();
    assert_eq!(passed, steps);
    nobody_lives(stage.world.bao().unwrap()).await;
}

#[tokio::test]
async fn a_kill_at_any_request_leaves_nothing_that_a_sweep_does_not_end() {
    let stage = Stage::set().await;
    let bao = stage.world.bao().unwrap();
    let mut kills = 0;
    // The host's own log-in is lifecycle::kills's.
    for (method, path) in STEPS.into_iter().skip(2) {
        for (side, fault) in [
            ("before", Fault::HoldRequest),
            ("after", Fault::HoldResponse),
        ] {
            let what = format!("{side} {path}");
            let held = stage.vault.inject(Rule::on(method, path, fault).times(1));
            let mut child = stage.run().command().spawn().unwrap();
            held.wait_hit(SOON).unwrap();
            child.kill().unwrap();
            assert_eq!(ended(child).code, -1, "{what}");
            kills += held.hits();
            drop(held);

            // Positive control: what was alive at the kill still is.
            let alive = bao.living().await.unwrap();
            let expected = match (path, side) {
                ("auth/token/revoke-self", "after") => 0,
                ("auth/token/revoke-self", _)
                | ("auth/token/revoke-accessor", "after")
                | ("auth/cofferdam-jwt/login", "before") => 1,
                _ => 2,
            };
            assert_eq!(alive.len(), expected, "{what}");

            let (code, report) = sweep(&stage.world);
            if path == "auth/cofferdam-jwt/login" {
                // Nobody knows the answer, so nobody can name the token.
                assert_eq!(code, 1, "{what}: {report}");
                let cut = found(&report, "attempt");
                assert_eq!(cut["outcome"], "in_flight", "{what}: {report}");
                assert_eq!(found(&report, "login")["outcome"], "revoked", "{report}");
                let left = bao.living().await.unwrap();
                assert_eq!(left.len(), expected - 1, "{what}");
                for token in left {
                    // It was never used, and ends by itself before the journal says so.
                    assert_eq!(token.policies, ["cofferdam-task-caller"]);
                    assert!((1..=3_696).contains(&token.explicit_max_ttl));
                    let expires: jiff::Timestamp =
                        cut["expires"].as_str().unwrap().parse().unwrap();
                    let ends = jiff::Timestamp::now()
                        + jiff::SignedDuration::from_secs(token.ttl.try_into().unwrap());
                    assert!(ends <= expires, "{ends} {expires}");
                    let body = json!({ "accessor": token.accessor });
                    write(&stage.world, "auth/token/revoke-accessor", body).await;
                }
                for record in journal(&stage.world) {
                    record.remove().unwrap();
                }
            } else {
                assert_eq!(code, 0, "{what}: {report}");
                assert!(journal(&stage.world).is_empty(), "{what}");
            }
            nobody_lives(bao).await;
        }
    }
    assert_eq!(kills, 10);
}

fn found<'a>(report: &'a Value, kind: &str) -> &'a Value {
    let found = report["found"].as_array().unwrap();
    found.iter().find(|one| one["kind"] == kind).unwrap()
}

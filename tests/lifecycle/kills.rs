//! SIGKILL at every step, then a sweep. `bad_days::kills` adds fifty kills at
//! moments that no step marks.

use std::process::Child;
use std::time::Duration;

use cofferdam_devkit::proxy::{Fault, Injected, Proxy, Rule};
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::World;
use serde_json::{Value, json};

use crate::common::{
    SOON, api, ended, get, install, journal, nobody_lives, signer, sweep, until, world,
};

/// A world whose Vault and API are behind proxies.
struct Stage {
    world: World,
    vault: Proxy,
    api: Proxy,
    _upstream: Upstream,
}

impl Stage {
    async fn set() -> Self {
        let world = world().await;
        let upstream = Upstream::start().unwrap();
        let vault = Proxy::start(world.bao().unwrap().socket()).unwrap();
        let proxy = Proxy::start(upstream.socket()).unwrap();
        install(&world, "caller", "probe-http", &api(&proxy.address()));
        install(&world, "signer", "probe-keys", &signer("signer", &["sign"]));
        world.vault_at(&vault.address()).unwrap();
        Self {
            world,
            vault,
            api: proxy,
            _upstream: upstream,
        }
    }

    fn start(&self, task: &str, input: Value) -> Child {
        self.world.run(task).input(input).command().spawn().unwrap()
    }

    /// Kills the process while `held` holds one of its requests.
    fn kill_at(&self, held: Injected, task: &str, input: Value) {
        let mut child = self.start(task, input);
        held.wait_hit(SOON).unwrap();
        child.kill().unwrap();
        let finished = ended(child);
        assert_eq!(finished.code, -1, "{finished:?}");
        drop(held);
    }
}

/// The requests of a run, in their order: where they go, method, part of the
/// path, how many like it come before.
const CALLER: [(&str, bool, &str, &str); 7] = [
    ("health check", true, "GET", "sys/health"),
    ("log-in", true, "POST", "auth/approle/login"),
    ("mint", true, "POST", "auth/token/create/cofferdam"),
    ("read", true, "GET", "secret/data/api"),
    ("upstream call", false, "GET", "status/200"),
    (
        "revocation of the child",
        true,
        "POST",
        "auth/token/revoke-accessor",
    ),
    (
        "revocation of the log-in",
        true,
        "POST",
        "auth/token/revoke-self",
    ),
];

/// The steps above are all requests of a run, so none is forgotten below.
#[tokio::test]
async fn the_steps_are_all_requests_of_a_run() {
    let stage = Stage::set().await;
    let finished = stage.world.run("caller").input(get("status/200")).finish();
    assert_eq!(finished.unwrap().code, 0);
    let passed = |proxy: &Proxy| {
        let passed = proxy.passed().into_iter();
        passed
            .map(|one| format!("{} {}", one.method, one.target))
            .collect::<Vec<_>>()
    };
    let expected = |is_vault: bool| {
        let steps = CALLER.iter().filter(move |step| step.1 == is_vault);
        let prefix = if is_vault { "/v1/" } else { "/" };
        steps
            .map(|step| format!("{} {prefix}{}", step.2, step.3))
            .collect::<Vec<_>>()
    };
    assert_eq!(passed(&stage.vault), expected(true));
    assert_eq!(passed(&stage.api), expected(false));
}

#[tokio::test]
async fn a_kill_at_any_request_leaves_nothing_that_a_sweep_does_not_end() {
    let stage = Stage::set().await;
    let bao = stage.world.bao().unwrap();
    let signing = [("signature", true, "POST", "transit/sign/signer")];
    let mut steps = Vec::new();
    for (name, is_vault, method, path) in CALLER.into_iter().chain(signing) {
        for (side, fault) in [
            ("before", Fault::HoldRequest),
            ("after", Fault::HoldResponse),
        ] {
            let proxy = if is_vault { &stage.vault } else { &stage.api };
            let made = bao.tokens_made("auth/approle/login").unwrap();
            let held = proxy.inject(Rule::on(method, path, fault).times(1));
            if name == "signature" {
                let input = json!({"do": "keys", "grant": "signer", "op": "sign"});
                stage.kill_at(held, "signer", input);
            } else {
                stage.kill_at(held, "caller", get("status/200"));
            }
            // Positive control: what was alive at the kill is still alive.
            let alive = bao.living().await.unwrap().len();
            let expected = match (name, side) {
                ("health check", _)
                | ("log-in", "before")
                | ("revocation of the log-in", "after") => 0,
                ("log-in" | "revocation of the log-in", _) | ("mint", "before") => 1,
                ("revocation of the child", "after") => 1,
                _ => 2,
            };
            assert_eq!(alive, expected, "{side} the {name}");

            let (code, report) = sweep(&stage.world);
            if name == "log-in" {
                // Nobody knows the answer, so nobody can name the token. The
                // server's own audit shows that it is the one that lives.
                assert_eq!(code, 1, "{side} the {name}: {report}");
                assert_eq!(report["found"][0]["outcome"], "in_flight", "{report}");
                let living = bao.living().await.unwrap();
                assert_eq!(living.len(), expected, "{side} the {name}");
                for token in living {
                    let hash = bao.audit_hash(&token.accessor).await.unwrap();
                    let answers = bao.answers_to("auth/approle/login").unwrap();
                    let named = answers.iter().skip(made).any(|answer| {
                        answer.pointer("/response/auth/accessor") == Some(&json!(hash))
                    });
                    assert!(named, "it is not from the log-in that was cut");
                    assert!(token.ttl <= 3_600, "it would live {} s", token.ttl);
                    let body = json!({ "accessor": token.accessor });
                    let path = "auth/token/revoke-accessor";
                    bao.root("POST", path, Some(body)).await.unwrap();
                }
                for record in journal(&stage.world) {
                    record.remove().unwrap();
                }
            } else if name == "mint" {
                // The child cannot be named, but it died with its parent.
                assert_eq!(code, 1, "{side} the {name}: {report}");
                assert!(report.to_string().contains("in_flight"), "{report}");
                for record in journal(&stage.world) {
                    record.remove().unwrap();
                }
            } else {
                assert_eq!(code, 0, "{side} the {name}: {report}");
                assert!(journal(&stage.world).is_empty(), "{side} the {name}");
            }
            nobody_lives(bao).await;
            steps.push(format!("{side} the {name}"));
        }
    }
    assert_eq!(steps.len(), 16, "{steps:?}");
}

#[tokio::test]
async fn a_kill_between_the_requests_is_swept_too() {
    let stage = Stage::set().await;
    let bao = stage.world.bao().unwrap();
    let input = json!({"do": "http", "grant": "api", "path": "status/200", "then": {"do": "spin"}});
    let mut child = stage.start("caller", input);
    // The answer has passed; what follows is the guest alone.
    until("the call", || stage.api.passed().len() == 1);
    std::thread::sleep(Duration::from_millis(50));
    child.kill().unwrap();
    assert_eq!(ended(child).code, -1);
    assert_eq!(bao.living().await.unwrap().len(), 2);
    let (code, report) = sweep(&stage.world);
    assert_eq!(
        (code, report["clean"].as_bool()),
        (0, Some(true)),
        "{report}"
    );
    assert_eq!(report["found"].as_array().unwrap().len(), 2, "{report}");
    nobody_lives(bao).await;
    // A second sweep has nothing to do, and says so.
    let (code, report) = sweep(&stage.world);
    assert_eq!((code, report["found"] == json!([])), (0, true), "{report}");
}

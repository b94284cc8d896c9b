//! The spans of a real run, as a collector gets them.

use std::collections::BTreeSet;

use cofferdam_devkit::canary::{Canary, Hunt};
use cofferdam_devkit::collector::{Arrived, Collector, Mood};
use cofferdam_devkit::openbao::OpenBao;
use cofferdam_devkit::proxy::Proxy;
use cofferdam_devkit::world::World;
use serde_json::json;

use super::world::{Watched, trace};
use crate::common::{TOKEN, guest, world};
use crate::leaks::traces::minted;

fn named<'a>(spans: &'a [Arrived], name: &str) -> Vec<&'a Arrived> {
    spans.iter().filter(|span| span.name == name).collect()
}

pub(crate) fn only<'a>(spans: &'a [Arrived], name: &str) -> &'a Arrived {
    match named(spans, name)[..] {
        [only] => only,
        ref several => panic!("{name}: {several:?}"),
    }
}

#[tokio::test]
async fn a_run_is_one_trace_and_tells_no_secret() {
    let watched = Watched::start().await;
    let collector = Collector::start(Mood::Fine).unwrap();
    let vault = Proxy::start(watched.bao().socket()).unwrap();
    watched.traced(&collector.address(), &vault.address());
    let run = watched.world.run("everything").input(Watched::input());
    let finished = run.finish().unwrap();
    assert_eq!(finished.code, 0, "{finished:?}");
    assert!(!finished.stderr.contains("traces"), "{finished:?}");
    let report = finished.report().unwrap();
    assert_eq!(collector.malformed(), 0);
    let all = collector.spans();

    // The run, and what it says of itself.
    let run = only(&all, "run");
    assert_eq!(run.parent, None);
    let said = |name: &str| run.attributes[name].as_str();
    assert_eq!(said("run"), report["run"].as_str().unwrap());
    assert_eq!((said("task"), said("dag_id")), ("everything", "tests"));
    assert_eq!((said("outcome"), said("exit")), ("done", "0"));
    assert!(!run.is_error);
    assert_eq!(run.resource["service.name"], "cofferdam");

    let spans = phases(
        watched.bao(),
        &all,
        run,
        [
            &["log_in", "mint", "health"],
            &["read", "key", "lease", "renew_lease"],
        ],
    );
    assert_eq!(
        only(&spans, "vault read").attributes["path"],
        "secret/data/api"
    );
    // Beside it there is only the end of the process's own log-in.
    let others = all.iter().filter(|it| it.trace != run.trace);
    let others: BTreeSet<_> = others.map(|it| it.attributes["path"].as_str()).collect();
    assert_eq!(others, BTreeSet::from(["auth/token/revoke-self"]));

    nothing_secret(&watched.world, &vault, &collector.bodies());
}

/// The spans of this run, which are whole: its phases, and below them what Vault was asked,
/// with these operations before the guest and in it.
pub(crate) fn phases(
    bao: &OpenBao,
    all: &[Arrived],
    run: &Arrived,
    [before, within]: [&[&str]; 2],
) -> Vec<Arrived> {
    let spans: Vec<_> = all
        .iter()
        .filter(|it| it.trace == run.trace)
        .cloned()
        .collect();
    for (phase, operations) in [
        ("authority", before),
        ("guest", within),
        ("revocation", &["revoke_lease", "revoke"]),
        ("seal", &[]),
    ] {
        let phase = only(&spans, phase);
        assert_eq!(phase.parent.as_ref(), Some(&run.id), "{phase:?}");
        for operation in operations {
            let requests = named(&spans, &format!("vault {operation}"));
            assert!(!requests.is_empty(), "{operation}");
            for request in requests {
                assert_eq!(request.parent.as_ref(), Some(&phase.id), "{request:?}");
                assert!(request.is_client && !request.is_error, "{request:?}");
                assert_eq!(request.attributes["outcome"], "ok");
            }
        }
    }
    let audit = std::fs::read_to_string(bao.audit_file()).unwrap();
    for name in ["vault read", "vault key", "vault lease", "vault mint"] {
        let id = &only(&spans, name).attributes["request_id"];
        assert!(audit.contains(id), "{name}: {id}");
    }
    for span in &spans {
        assert_eq!(span.events, 0, "{span:?}");
        assert!(span.time.0 <= span.time.1, "{span:?}");
        let parent = spans.iter().find(|it| Some(&it.id) == span.parent.as_ref());
        let parent = parent.map_or(run.time, |parent| parent.time);
        assert!(parent.0 <= span.time.0, "{span:?}");
    }
    spans
}

/// No token, password, accessor, lease id or secret is in what left. The same
/// search finds one that was put there, in every spelling.
pub(crate) fn nothing_secret(world: &World, vault: &Proxy, bodies: &[Vec<u8>]) {
    let (tokens, names) = minted(vault);
    assert!(tokens.len() >= 3 && names.len() >= 3, "{}", tokens.len());
    let secret_id = std::fs::read_to_string(world.path("secret-id")).unwrap();
    let seen = |canary: &str, bodies: &[Vec<u8>]| {
        let mut hunt = Hunt::new(&Canary::of(canary));
        for body in bodies {
            hunt.bytes("what left", body);
        }
        hunt.sightings().len()
    };
    let given = [TOKEN, secret_id.trim()];
    let texts = tokens.iter().chain(&names).map(String::as_str);
    for secret in texts.chain(given) {
        assert_eq!(seen(secret, bodies), 0);
        let mut planted = bodies.to_vec();
        planted[0].extend_from_slice(secret.as_bytes());
        assert_ne!(seen(secret, &planted), 0);
    }
    let marker = Canary::random();
    for (_, form) in marker.forms() {
        let mut planted = bodies.to_vec();
        planted.last_mut().unwrap().extend_from_slice(&form);
        assert_ne!(seen(marker.text(), &planted), 0);
    }
    // And the search reads what is really there.
    assert_ne!(seen("secret/data/api", bodies), 0);
}

#[tokio::test]
async fn a_run_that_is_refused_is_an_error_and_foreign_words_are_short() {
    let world = world().await;
    let collector = Collector::start(Mood::Fine).unwrap();
    world.task("plain", &guest("probe"), "").unwrap();
    trace(&world, &collector.address());
    let long = "d".repeat(200);
    let finished = world.run("plain").dag(&long).finish().unwrap();
    assert_eq!(finished.code, 3, "{finished:?}");
    let spans = collector.spans();
    let run = only(&spans, "run");
    assert!(run.is_error);
    assert_eq!(run.attributes["outcome"], "refused");
    assert_eq!(run.attributes["dag_id"], format!("{}…", &long[..128]));

    let failed = json!({"do": "fail", "message": "secret words of the task"});
    let finished = world.run("plain").input(failed).finish().unwrap();
    assert_eq!(finished.code, 1, "{finished:?}");
    let spans = collector.spans();
    let run = named(&spans, "run")
        .into_iter()
        .next_back()
        .unwrap()
        .clone();
    assert!(run.is_error && run.attributes["outcome"] == "failed");
    // A task without Vault: a guest and a seal.
    let names: BTreeSet<_> = (spans.iter())
        .filter(|it| it.trace == run.trace)
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(names, BTreeSet::from(["run", "guest", "seal"]));
    for body in collector.bodies() {
        assert!(!String::from_utf8_lossy(&body).contains("secret words"));
    }
}

#[tokio::test]
async fn a_part_of_all_runs_can_be_sent() {
    let world = world().await;
    let collector = Collector::start(Mood::Fine).unwrap();
    world.task("plain", &guest("probe"), "").unwrap();
    trace(&world, &collector.address());
    let input = json!({"do": "sleep", "ms": 0});
    let run = || world.run("plain").input(input.clone()).finish().unwrap();
    assert_eq!(run().code, 0);
    let before = collector.spans().len();
    assert!(before >= 2);
    let file = std::fs::read_to_string(world.path("cofferdam.toml")).unwrap();
    world
        .write("cofferdam.toml", &format!("{file}sample = 0\n"))
        .unwrap();
    assert_eq!(run().code, 0);
    assert_eq!(collector.spans().len(), before);
}

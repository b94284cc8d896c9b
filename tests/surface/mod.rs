//! Every function of `wit/` has a case that calls it and finds no secret in
//! what comes back; `reveal` alone is there to hand one out.

mod cases;
mod sql_cases;

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_devkit::canary::{Canary, Hunt};
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::{Finished, World};
use serde_json::json;
use wit_parser::{Resolve, WorldItem};

use crate::common::{TOKEN, api, guest, install, nobody_lives, signer, world};
use cases::CASES;

/// `interface#function`, and `world#function` for what a task exports.
fn functions() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let mut resolve = Resolve::default();
    for package in ["capabilities", "task"] {
        resolve.push_dir(root.join(package)).unwrap();
    }
    let mut functions = BTreeSet::new();
    for (_, interface) in &resolve.interfaces {
        let name = interface.name.as_deref().unwrap();
        functions.extend(interface.functions.keys().map(|it| format!("{name}#{it}")));
    }
    for (_, world) in &resolve.worlds {
        let items = world.exports.iter().chain(&world.imports);
        for (_, item) in items {
            if let WorldItem::Function(function) = item {
                functions.insert(format!("task#{}", function.name));
            }
        }
    }
    functions
}

/// One grant of each kind, all with the same secret behind them.
const REVEAL: &str = "[reveal.legacy]\n\
     credential = { kv2 = { mount = \"secret\", path = \"api\", field = \"token\" } }\n\
     reason = \"the test compares\"\n";

async fn stage() -> (World, Upstream) {
    let world = world().await;
    let upstream = Upstream::start().unwrap();
    install(&world, "http", "probe-http", &api(&upstream.address()));
    install(
        &world,
        "sign",
        "probe-keys",
        &signer("signer", &["sign", "verify"]),
    );
    install(
        &world,
        "box",
        "probe-keys",
        &signer("box", &["hmac", "encrypt", "decrypt"]),
    );
    install(&world, "reveal", "probe-reveal", REVEAL);
    (world, upstream)
}

/// Nothing of the run's output holds the secret, in any spelling.
fn hunt(finished: &Finished) {
    let mut hunt = Hunt::new(&Canary::of(TOKEN));
    hunt.bytes("stdout", finished.stdout.as_bytes());
    hunt.bytes("stderr", finished.stderr.as_bytes());
    hunt.finish().unwrap();
}

#[tokio::test]
async fn no_function_hands_out_a_secret() {
    let (world, upstream) = stage().await;
    let mut covered = BTreeSet::new();
    for case in CASES {
        let input: serde_json::Value = serde_json::from_str(case.input).unwrap();
        let finished = world.run(case.task).input(input).finish().unwrap();
        assert_eq!(finished.code, 0, "{case:?}: {finished:?}");
        let result = finished.result().unwrap();
        assert!((case.answered)(&result), "{case:?}: {result}");
        hunt(&finished);
        covered.extend(case.functions.iter().map(|&name| name.to_owned()));
    }
    // Positive control: the secret was really sent, so it could have come back.
    let sent = upstream.requests();
    let with_token = sent.iter().filter(|request| {
        request.header("authorization") == Some(format!("Bearer {TOKEN}").as_bytes())
    });
    assert!(with_token.count() >= 2, "{} requests", sent.len());
    nobody_lives(world.bao().unwrap()).await;

    covered.insert("reveal#reveal".to_owned());
    covered.extend(sql_cases::covered().await);
    // Called once at build, when there is no Vault: see the case below.
    covered.insert("task#describe".to_owned());
    assert_eq!(
        functions(),
        covered,
        "each function of wit/ needs a case, and each case a function"
    );
}

#[tokio::test]
async fn reveal_hands_out_its_secret_and_only_where_it_is_granted() {
    let (world, _upstream) = stage().await;
    let finished = world
        .run("reveal")
        .input(json!({"do": "reveal", "grant": "legacy"}))
        .finish()
        .unwrap();
    let inverted = finished.result().unwrap()["inverted"].clone();
    let inverted = STANDARD.decode(inverted.as_str().unwrap()).unwrap();
    let plain: Vec<u8> = inverted.iter().map(|byte| !byte).collect();
    assert_eq!(plain, TOKEN.as_bytes(), "the guest had it");
    hunt(&finished);

    // What the guest tells in plain is scrubbed on every way out.
    let finished = world
        .run("reveal")
        .input(json!({"do": "reveal_and_tell", "grant": "legacy"}))
        .finish()
        .unwrap();
    assert_eq!(finished.result().unwrap()["value"], "[redacted]");
    assert!(
        finished.stderr.matches("[redacted]").count() >= 3,
        "{finished:?}"
    );
    hunt(&finished);

    let finished = world
        .run("reveal")
        .input(json!({"do": "reveal", "grant": "other"}))
        .finish()
        .unwrap();
    let result = finished.result().unwrap();
    assert_eq!(result["kind"], "not-granted", "{result}");

    // A component that imports it does not start without a grant of its kind.
    world.task("ungranted", &guest("probe-reveal"), "").unwrap();
    let minted = world.bao().unwrap().minted().unwrap();
    let finished = world.run("ungranted").finish().unwrap();
    assert_eq!(finished.code, 3, "{finished:?}");
    assert!(
        finished.stdout.contains("capabilities/reveal"),
        "{finished:?}"
    );
    assert_eq!(world.bao().unwrap().minted().unwrap(), minted);
    nobody_lives(world.bao().unwrap()).await;
}

#[test]
fn a_description_holds_nothing_of_the_host() {
    let bytes = std::fs::read(guest("probe-reveal")).unwrap();
    let mut hunt = Hunt::new(&Canary::of(TOKEN));
    hunt.bytes("probe-reveal", &bytes);
    hunt.finish().unwrap();
    // Positive control: the answer of `describe` is in there.
    let manifest = cofferdam::manifest::Manifest::read(&bytes)
        .unwrap()
        .unwrap();
    assert!(manifest.input_schema.is_some());
}

#[test]
fn the_search_finds_a_planted_secret() {
    for (form, bytes) in Canary::of(TOKEN).forms() {
        let planted = [b"before ".as_slice(), &bytes, b" after"].concat();
        let mut hunt = Hunt::new(&Canary::of(TOKEN));
        hunt.bytes("planted", &planted);
        assert!(hunt.finish().is_err(), "{form}");
    }
}

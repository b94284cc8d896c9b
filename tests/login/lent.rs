//! Tokens that somebody else made: a file, the environment.

use serde_json::json;

use super::command::{cofferdam, finished, settings};
use super::host::Host;
use crate::common::{api, get, install, nobody_lives, world};
use crate::guide::section;

#[tokio::test]
async fn a_token_in_the_environment_as_the_page_says() {
    let world = world().await;
    let bao = world.bao().unwrap();
    let upstream = cofferdam_devkit::upstream::Upstream::start().unwrap();
    install(&world, "caller", "probe-http", &api(&upstream.address()));
    let section = section("Token");
    let address = bao.address();
    let block = &section.settings[0];
    let text = format!("[vault]\naddress = {address:?}\n\n{block}");
    world.write("cofferdam.toml", &text).unwrap();
    let body = json!({
        "policies": ["cofferdam-host"], "no_default_policy": true, "ttl": "1h", "type": "service",
    });
    let (_, lent) = bao
        .root("POST", "auth/token/create", Some(body))
        .await
        .unwrap();
    let token = lent["auth"]["client_token"].as_str().unwrap();
    let run = |name: &str, value: Option<&str>| {
        let mut command = world.run("caller").input(get("status/200")).command();
        if let Some(value) = value {
            command.env(name, value);
        }
        let finished = cofferdam_devkit::world::Finished::of(command.output().unwrap()).unwrap();
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            assert!(!format!("{finished:?}").contains(value), "{finished:?}");
        }
        let outcome = finished.report().unwrap()["outcome"].clone();
        (finished.code, outcome.to_string())
    };
    assert_eq!(run("VAULT_TOKEN", Some(token)).0, 0);
    let living = bao.living().await.unwrap();
    assert_eq!(living.len(), 1, "it is not ours to end");

    // Not set, too short, not one line.
    for (value, word) in [
        (None, "`VAULT_TOKEN` is not set"),
        (Some(""), "at least 8 characters"),
        (Some("s.canary-1\ns.canary-2"), "control characters"),
    ] {
        let (code, outcome) = run("VAULT_TOKEN", value);
        assert_eq!(code, 2, "{outcome}");
        assert!(outcome.contains(word), "{outcome}");
    }
    // Another variable, which the file names.
    let other = text.replace("VAULT_TOKEN", "COFFERDAM_TOKEN");
    world.write("cofferdam.toml", &other).unwrap();
    assert_eq!(run("VAULT_TOKEN", Some(token)).0, 2);
    assert_eq!(run("COFFERDAM_TOKEN", Some(token)).0, 0);

    // Wrong, and dead.
    let (code, outcome) = run("COFFERDAM_TOKEN", Some("s.wrongwrongwrongwrong"));
    assert_eq!(code, 3, "{outcome}");
    assert!(outcome.contains("in the environment is dead"), "{outcome}");
    let body = json!({"accessor": lent["auth"]["accessor"]});
    bao.root("POST", "auth/token/revoke-accessor", Some(body))
        .await
        .unwrap();
    let (code, outcome) = run("COFFERDAM_TOKEN", Some(token));
    assert_eq!(code, 3, "{outcome}");
    assert!(
        outcome.contains("set the variable to a living token"),
        "{outcome}"
    );
    nobody_lives(bao).await;

    // The token itself has no place in the file, and is not repeated.
    let canary = "s.canarycanarycanary";
    world
        .write("cofferdam.toml", &text.replace("VAULT_TOKEN", canary))
        .unwrap();
    let finished = world.run("caller").input(get("status/200")).finish();
    let finished = finished.unwrap();
    assert_eq!(finished.code, 2);
    assert!(!format!("{finished:?}").contains(canary), "{finished:?}");
}

#[tokio::test]
async fn the_pages_token_is_one_that_the_host_takes() {
    let host = Host::start().await;
    let section = section("Token");
    host.sh(&section.shell[0], &[]);
    settings(&host, &section.settings[0]);
    let token = std::fs::read_to_string(host.folder.path().join("token")).unwrap();
    // A sweep of nothing needs no log-in; one of a killed process's journal does.
    let killed = host.vault(&host.config("[vault.auth.token_file]\npath = \"token\""));
    drop(crate::vault::world::open(&killed, "killed").await);
    drop(killed);
    let mut sweep = cofferdam(&host, &["--format", "json", "sweep"]);
    sweep.env("VAULT_TOKEN", token.trim());
    let swept = finished(sweep);
    assert_eq!(swept.code, 0, "{swept:?}");
    assert_eq!(
        swept.report().unwrap()["found"][0]["outcome"],
        json!("revoked"),
        "{swept:?}"
    );
    assert_eq!(host.bao.living().await.unwrap().len(), 1);
}

//! AppRole and token file.

use std::time::Duration;

use cofferdam::diagnostic::{Diagnostic, Exit};
use cofferdam::scrub::SecretSet;
use cofferdam::vault::{Vault, VaultError};
use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use serde_json::json;

use super::world::{World, attempt, config, open, refused};

#[tokio::test]
async fn approle_logs_in_once_for_many_attempts() {
    let world = World::start().await;
    let vault = world.vault();
    let (one, two) = tokio::join!(open(&vault, "one"), open(&vault, "two"));
    assert_eq!(world.living().await.len(), 3, "one log-in and two children");
    assert_eq!(world.journalled(), world.living().await);
    assert!(one.close().await.complete && two.close().await.complete);
    assert!(vault.close().await.expect("a log-in").complete);
    assert!(world.living().await.is_empty());
    assert!(world.journal().is_empty());
}

#[tokio::test]
async fn a_wrong_secret_id_is_refused_and_leaves_nothing() {
    let world = World::start().await;
    let file = world.file("wrong", "0198a6b2-wrong-secret-id\n");
    let vault = Vault::new(world.approle_with(&file, ""), &world.state()).unwrap();
    let error = refused(&vault, "one").await;
    assert!(matches!(error, VaultError::LoginRefused { .. }), "{error}");
    assert_eq!(error.exit(), Exit::Denied);
    let shown = format!("{error} {error:?} {:?}", error.hint());
    assert!(!shown.contains("wrong-secret-id"), "{shown}");
    assert!(world.journal().is_empty());
    assert!(vault.close().await.is_none());
}

#[tokio::test]
async fn the_log_ins_secrets_are_known_to_the_scrubber() {
    let world = World::start().await;
    let vault = world.vault();
    let secrets = SecretSet::default();
    assert!(secrets.is_empty());
    let session = vault
        .open(attempt("one"), &secrets)
        .await
        .map_err(|e| e.to_string())
        .unwrap();
    assert!(!secrets.is_empty());
    session.close().await;
    vault.close().await;
}

/// Writes a wrapped secret-id to a file.
async fn wrapped(world: &World, path: &str, name: &str) -> std::path::PathBuf {
    let (_, body) = world
        .bao
        .root_wrapped("POST", path, Some(json!({})), "60s")
        .await
        .unwrap();
    world.file(name, body["wrap_info"]["token"].as_str().unwrap())
}

const SECRET_ID: &str = "auth/approle/role/cofferdam-host/secret-id";

#[tokio::test]
async fn a_wrapped_secret_id_serves_one_process() {
    let world = World::start().await;
    let file = wrapped(&world, SECRET_ID, "wrapped").await;
    let config = world.approle_with(&file, "wrapped = true");

    let vault = Vault::new(config.clone(), &world.state()).unwrap();
    let session = open(&vault, "one").await;
    assert!(session.close().await.complete);
    assert!(vault.close().await.expect("a log-in").complete);

    let late = Vault::new(config, &world.state()).unwrap();
    let error = refused(&late, "two").await;
    assert!(matches!(error, VaultError::WrappedUsedUp { .. }), "{error}");
    assert_eq!(error.exit(), Exit::Usage);
    assert!(error.hint().unwrap().contains("one process"));
    assert!(world.living().await.is_empty());
}

/// Whoever gives up an attempt does not give up the log-in that others wait for,
/// nor the secret-id that Vault hands out once.
#[tokio::test]
async fn an_opening_that_is_given_up_goes_on_and_leaves_nothing() {
    for path in ["sys/wrapping/unwrap", "approle/login", "auth/token/create"] {
        let world = World::start().await;
        let proxy = Proxy::start(world.bao.socket()).unwrap();
        let file = wrapped(&world, SECRET_ID, "wrapped").await;
        let text = format!(
            "address = {:?}\n[auth.approle]\nrole_id_file = {:?}\nsecret_id_file = {file:?}\n\
             wrapped = true\n",
            proxy.address(),
            world.files.role_id_file,
        );
        let vault = Vault::new(config(&text), &world.state()).unwrap();
        let late = Fault::Delay(Duration::from_millis(400));
        let late = proxy.inject(Rule::on("*", path, late).times(1));
        let mut opening = vault.opening(attempt("given-up"), &SecretSet::default());
        let waited = Duration::from_millis(100);
        assert!(tokio::time::timeout(waited, &mut opening).await.is_err());
        assert_eq!(late.hits(), 1, "{path}");
        vault.leave(opening);
        // The next one has the same log-in.
        let session = open(&vault, "next").await;
        let log_ins = world.bao.answers_to("auth/approle/login").unwrap();
        assert_eq!(log_ins.len(), 1, "{path}");
        assert!(session.close().await.complete);
        // What was given up was made after all, and ended.
        assert!(vault.close().await.expect("a log-in").complete, "{path}");
        assert_eq!(world.bao.minted().unwrap(), 2, "{path}");
        assert!(world.living().await.is_empty(), "{path}");
        assert!(world.journal().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn another_creation_path_is_an_alarm_and_is_not_unwrapped() {
    let world = World::start().await;
    let file = wrapped(&world, "sys/wrapping/wrap", "wrapped").await;
    let config = world.approle_with(&file, "wrapped = true");
    let vault = Vault::new(config, &world.state()).unwrap();
    let error = refused(&vault, "one").await;
    assert!(
        matches!(error, VaultError::WrappedWrongPath { .. }),
        "{error}"
    );
    assert_eq!(error.exit(), Exit::Denied);

    // The same file under the path that the operator expects: it is unwrapped,
    // which also shows that the refusal left it unused.
    let config = world.approle_with(
        &file,
        "wrapped = true\ncreation_path = \"sys/wrapping/wrap\"",
    );
    let vault = Vault::new(config, &world.state()).unwrap();
    let error = refused(&vault, "two").await;
    assert!(matches!(error, VaultError::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn a_token_from_a_file_is_used_and_never_revoked() {
    let world = World::start().await;
    let body = json!({"policies": ["cofferdam-host"], "no_default_policy": true, "ttl": "1h"});
    let (_, body) = world.root("POST", "auth/token/create", Some(body)).await;
    let lent = body["auth"]["accessor"].as_str().unwrap().to_owned();
    let path = world.file("token", body["auth"]["client_token"].as_str().unwrap());

    let vault = Vault::new(world.token_file(&path), &world.state()).unwrap();
    let session = open(&vault, "one").await;
    assert_eq!(world.living().await.len(), 2);
    assert!(!world.journalled().contains(&lent));
    assert!(session.close().await.complete);
    assert!(vault.close().await.is_none());
    assert_eq!(world.living().await, [lent].into());
}

#[tokio::test]
async fn a_log_in_that_ends_before_the_attempt_is_refused_before_the_mint() {
    let world = World::start().await;
    let role = json!({"token_ttl": "80s", "token_max_ttl": "80s"});
    world
        .root("POST", "auth/approle/role/cofferdam-host", Some(role))
        .await;
    let vault = world.vault();
    let error = refused(&vault, "one").await;
    assert!(matches!(error, VaultError::LoginTooShort { .. }), "{error}");
    // A second one does not even log in again.
    let error = refused(&vault, "two").await;
    assert!(matches!(error, VaultError::LoginTooShort { .. }), "{error}");
    assert_eq!(world.living().await.len(), 1);
    assert!(vault.close().await.expect("a log-in").complete);
    assert!(world.living().await.is_empty());
}

#[tokio::test]
async fn a_log_in_that_cannot_carry_attempts_is_given_back() {
    let world = World::start().await;
    for role in [
        json!({"token_num_uses": 5, "token_type": "service"}),
        json!({"token_num_uses": 0, "token_type": "batch"}),
    ] {
        let path = "auth/approle/role/cofferdam-host";
        let (status, _) = world.root("POST", path, Some(role)).await;
        assert_eq!(status, 204);
        let vault = world.vault();
        let error = refused(&vault, "one").await;
        assert!(matches!(error, VaultError::LoginUnusable { .. }), "{error}");
        assert!(error.hint().unwrap().contains("AppRole"));
        assert!(vault.close().await.is_none());
        assert!(world.living().await.is_empty());
        assert!(world.journal().is_empty());
    }
}

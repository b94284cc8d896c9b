//! The end of an attempt, and of the process.

use cofferdam::vault::VaultError;
use cofferdam::vault::path::KvPath;
use cofferdam_devkit::journal::Record;
use serde_json::json;

use super::world::{World, open, refused};

fn billing() -> KvPath {
    KvPath::V2 {
        mount: "secret".parse().unwrap(),
        path: "billing".parse().unwrap(),
        version: None,
    }
}

#[tokio::test]
async fn closing_ends_the_token_and_every_handle() {
    let world = World::start().await;
    let vault = world.vault();
    let session = open(&vault, "one").await;
    let handle = session.handle();
    assert!(handle.kv(&billing()).await.is_ok());
    let both = world.living().await;
    assert_eq!(both.len(), 2);

    let revocation = session.close().await;
    assert!(revocation.complete && revocation.reason.is_none());
    assert!(matches!(
        handle.kv(&billing()).await,
        Err(VaultError::Closed)
    ));
    assert_eq!(world.living().await.len(), 1);

    assert!(vault.close().await.expect("a log-in").complete);
    for accessor in both {
        assert_ne!(world.lookup(&accessor).await.0, 200);
    }
    assert!(world.journal().is_empty());
}

#[tokio::test]
async fn a_closed_vault_opens_nothing() {
    let world = World::start().await;
    let vault = world.vault();
    let clone = vault.clone();
    assert!(vault.close().await.is_none());
    assert!(matches!(refused(&clone, "one").await, VaultError::Closed));
    assert!(world.living().await.is_empty());
}

#[tokio::test]
async fn a_token_that_somebody_else_revoked_counts_as_dead() {
    let world = World::start().await;
    let vault = world.vault();
    let session = open(&vault, "one").await;
    for accessor in world.living().await {
        let body = json!({"accessor": accessor});
        world
            .root("POST", "auth/token/revoke-accessor", Some(body))
            .await;
    }
    assert!(world.living().await.is_empty());
    assert!(session.close().await.complete, "a dead child is revoked");
    assert!(vault.close().await.expect("a fresh log-in").complete);
    assert!(world.living().await.is_empty());
    assert!(world.journal().is_empty());
}

#[tokio::test]
async fn a_log_in_that_died_is_made_again_for_the_next_attempt() {
    let world = World::start().await;
    let vault = world.vault();
    open(&vault, "one").await.close().await;
    let login = world.living().await.pop_first().unwrap();
    let body = json!({"accessor": login});
    world
        .root("POST", "auth/token/revoke-accessor", Some(body))
        .await;

    let session = open(&vault, "two").await;
    // The one that seems dead stands there too, until somebody made sure.
    let (journalled, living) = (world.journalled(), world.living().await);
    assert!(journalled.is_superset(&living) && living.len() == 2);
    assert!(journalled.contains(&login));
    assert!(session.close().await.complete);
    assert!(!world.journalled().contains(&login));
    assert!(vault.close().await.expect("a log-in").complete);
    assert!(world.living().await.is_empty());
    assert!(world.journal().is_empty());
}

#[tokio::test]
async fn a_refused_revocation_is_told_and_journalled() {
    let world = World::start().await;
    let vault = world.vault();
    let session = open(&vault, "one").await;
    let without = json!({"policy":
        "path \"auth/token/lookup-self\" { capabilities = [\"read\"] }\n\
         path \"auth/token/lookup-accessor\" { capabilities = [\"update\"] }\n\
         path \"auth/token/revoke-self\" { capabilities = [\"update\"] }"});
    world
        .root("PUT", "sys/policies/acl/cofferdam-host", Some(without))
        .await;
    let revocation = session.close().await;
    assert!(!revocation.complete);
    assert_eq!(revocation.reason, Some("refused"));
    assert_eq!(world.living().await.len(), 2);
    let records = world.journal();
    let names_it = |record: &Record| record.text.contains("\"id\":\"one\"");
    assert!(records.iter().any(names_it), "{records:?}");
    // The end of the log-in is the end of its children.
    assert!(vault.close().await.expect("a log-in").complete);
    assert!(world.living().await.is_empty());
}

//! The mint is compared with what was asked.

use cofferdam::diagnostic::{Diagnostic, Exit};
use cofferdam::vault::{Operation, VaultError};
use cofferdam_devkit::journal::Record;
use serde_json::json;

use super::world::{World, open, refused};

#[tokio::test]
async fn a_child_carries_one_policy_and_a_bounded_life() {
    let world = World::start().await;
    let vault = world.vault();
    let session = open(&vault, "one").await;
    assert!(session.mint_request_id().is_some());
    assert!(session.explicit_max_ttl().as_secs() >= 60);

    let mut children = 0;
    for accessor in world.journalled() {
        let (_, body) = world.lookup(&accessor).await;
        let token = &body["data"];
        if token["path"] == json!("auth/token/create/cofferdam") {
            children += 1;
            assert_eq!(token["policies"], json!(["cofferdam-task-billing"]));
            let life = session.explicit_max_ttl().as_secs();
            assert_eq!(token["explicit_max_ttl"], json!(life));
            assert_eq!(token["renewable"], json!(false));
            assert_eq!(token["orphan"], json!(false));
            assert_eq!(token["meta"]["dag_id"], json!("billing"));
        }
    }
    assert_eq!(children, 1);
    assert!(session.close().await.complete);
    vault.close().await;
}

#[tokio::test]
async fn a_policy_too_many_is_refused_and_revoked() {
    let world = World::start().await;
    let vault = world.vault();
    // The first log-in makes the entity that the group takes.
    assert!(open(&vault, "before").await.close().await.complete);
    let (_, body) = world.root("LIST", "identity/entity/id", None).await;
    let entity = body["data"]["keys"][0].as_str().unwrap();
    let group = json!({"name": "team", "policies": ["team-x"], "member_entity_ids": [entity]});
    let (status, _) = world.root("POST", "identity/group", Some(group)).await;
    assert_eq!(status, 200);

    let error = refused(&vault, "one").await;
    let VaultError::MintMismatch {
        difference,
        revoked,
    } = &error
    else {
        panic!("{error}")
    };
    assert!(difference.contains("`team-x`"), "{difference}");
    assert!(revoked);
    assert_eq!(error.exit(), Exit::Denied);
    assert_eq!(world.living().await.len(), 1, "the log-in alone");
    assert_eq!(world.journal().len(), 1);

    vault.close().await;
    assert!(world.living().await.is_empty());
}

#[tokio::test]
async fn a_role_that_caps_the_life_too_low_is_noticed() {
    let world = World::start().await;
    let role = json!({
        "allowed_policies_glob": ["cofferdam-task-*"], "orphan": false, "renewable": false,
        "token_type": "service", "token_no_default_policy": true, "token_explicit_max_ttl": 30,
    });
    world
        .root("POST", "auth/token/roles/cofferdam", Some(role))
        .await;
    let vault = world.vault();
    let error = refused(&vault, "one").await;
    assert!(error.to_string().contains("30 s only"), "{error}");
    vault.close().await;
    assert!(world.living().await.is_empty());
}

#[tokio::test]
async fn a_missing_role_and_a_missing_right_are_told() {
    let world = World::start().await;
    world
        .root("DELETE", "auth/token/roles/cofferdam", None)
        .await;
    let vault = world.vault();
    let error = refused(&vault, "one").await;
    assert!(
        matches!(
            error,
            VaultError::Invalid {
                operation: Operation::Mint,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error
            .hint()
            .unwrap()
            .contains("cofferdam policy --host --write")
    );

    world
        .root("DELETE", "sys/policies/acl/cofferdam-host", None)
        .await;
    let other = world.vault();
    let error = refused(&other, "two").await;
    assert!(!error.hint().unwrap().is_empty(), "{error}");
    assert!(!world.journal().iter().any(Record::is_attempt));
}

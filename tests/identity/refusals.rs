//! What the server refuses.

use cofferdam::diagnostic::{Diagnostic, Exit};
use cofferdam::vault::identity::Keyring;
use cofferdam::vault::{AttemptAuthority, Vault, VaultError};
use serde_json::json;

use super::stage::{MOUNT, Stage, attempt, identity, open, refused};

/// The log-in is refused, and nothing was made.
async fn is_refused(stage: &Stage, vault: Vault, attempt: AttemptAuthority, what: &str) {
    let before = stage.logged_in();
    let asked = stage.world.bao.answers_to(&format!("auth/{MOUNT}/login"));
    let asked = asked.unwrap().len();
    let error = refused(&vault, attempt).await;
    assert!(
        matches!(&error, VaultError::LoginRefused { mount, .. } if mount == MOUNT),
        "{what}: {error}"
    );
    assert_eq!(error.exit(), Exit::Denied, "{what}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("cofferdam identity jwks"), "{what}: {hint}");
    let shown = format!("{error} {error:?} {hint}");
    // The first bytes of every JWT.
    assert!(!shown.contains("eyJ"), "{what}: {shown}");
    // It was asked, once, and made nothing.
    let answers = stage.world.bao.answers_to(&format!("auth/{MOUNT}/login"));
    assert_eq!(answers.unwrap().len(), asked + 1, "{what}");
    assert_eq!(stage.logged_in(), before, "{what}");
    stage.nothing_is_left(vault).await;
}

fn good() -> AttemptAuthority {
    attempt("run-1", "any", identity("billing"))
}

#[tokio::test]
async fn what_the_server_does_not_believe() {
    let stage = Stage::set().await;
    // Positive control.
    let vault = stage.vault();
    assert!(
        open(&vault, "run-0", "billing")
            .await
            .close()
            .await
            .complete
    );
    vault.close().await;

    is_refused(&stage, stage.vault_off_by(-600), good(), "expired").await;
    is_refused(&stage, stage.vault_off_by(600), good(), "not yet valid").await;

    let with = |issuer: &str, audience: &str| {
        let lines = format!("[identity]\nissuer = \"{issuer}\"\naudience = \"{audience}\"\n");
        Vault::new(stage.world.approle(&lines), &stage.world.state()).unwrap()
    };
    let vault = with("https://cofferdam.example.com", "elsewhere");
    is_refused(&stage, vault, good(), "audience").await;
    let vault = with("https://other.example.com", "vault.example.com");
    is_refused(&stage, vault, good(), "issuer").await;

    let no_role = attempt("run-1", "none", identity("billing"));
    is_refused(&stage, stage.vault(), no_role, "no such role").await;

    let elsewhere = stage.world.folder.path().join("other-state");
    let strangers = Keyring::new(None, &elsewhere).public_keys().unwrap();
    stage.trust(&strangers.pem()).await;
    is_refused(&stage, stage.vault(), good(), "another key").await;
}

#[tokio::test]
async fn what_the_role_is_not_bound_to() {
    let stage = Stage::set().await;
    let bound = |claims| json!({ "bound_claims": claims });
    for (what, claims) in [
        ("dag", json!({"dag_id": ["payroll", "reports"]})),
        ("case", json!({"dag_id": ["Billing"]})),
        ("task", json!({"task": ["other"]})),
        ("bundle", json!({"bundle": [""]})),
        ("assurance", json!({"assurance": ["attested"]})),
        ("component", json!({"component": ["sha256:00"]})),
    ] {
        stage.role("bound", bound(claims)).await;
        let asked = attempt("run-1", "bound", identity("billing"));
        is_refused(&stage, stage.vault(), asked, what).await;
    }
    // Positive control.
    let claims = json!({
        "dag_id": ["payroll", "billing"], "task": ["sync"], "bundle": ["main"],
        "assurance": ["attested", "claimed"],
    });
    stage.role("bound", bound(claims)).await;
    let vault = stage.vault();
    let asked = attempt("run-2", "bound", identity("billing"));
    let session = vault.open(asked, &Default::default()).await;
    assert!(session.is_ok_and(|_| true));
    vault.close().await;
}

#[tokio::test]
async fn without_a_mount_or_a_table_nothing_is_asked_twice() {
    let stage = Stage::set().await;
    let vault = Vault::new(stage.world.approle(""), &stage.world.state()).unwrap();
    let error = refused(&vault, good()).await;
    assert_eq!(error.exit(), Exit::Usage);
    assert!(error.to_string().contains("[vault.identity]"), "{error}");
    stage.nothing_is_left(vault).await;

    let (status, _) = stage
        .world
        .root("DELETE", &format!("sys/auth/{MOUNT}"), None)
        .await;
    assert_eq!(status, 204);
    let vault = stage.vault();
    let error = refused(&vault, good()).await;
    assert_eq!(error.exit(), Exit::Denied, "{error}");
    stage.nothing_is_left(vault).await;
}

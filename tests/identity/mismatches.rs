//! Roles that give something else than the grants say.

use cofferdam::diagnostic::{Diagnostic, Exit};
use cofferdam::vault::VaultError;
use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use serde_json::{Value, json};

use super::stage::{MOUNT, Stage, attempt, identity, open, refused};

#[tokio::test]
async fn every_difference_is_refused_and_revoked() {
    let stage = Stage::set().await;
    let cases: [(&str, Value, &str); 9] = [
        (
            "one policy too many",
            json!({"token_policies": ["cofferdam-dag", "team-x"]}),
            "`team-x`",
        ),
        (
            "default",
            json!({"token_no_default_policy": false}),
            "`default`",
        ),
        (
            "another policy",
            json!({"token_policies": ["team-x"]}),
            "`team-x`",
        ),
        ("no policy", json!({"token_policies": []}), "does not carry"),
        (
            "a longer life",
            json!({"token_ttl": 3_697, "token_max_ttl": 3_697, "token_explicit_max_ttl": 3_697}),
            "3697 s, more than the 3696 s",
        ),
        (
            "a shorter life",
            json!({"token_ttl": 59, "token_max_ttl": 59, "token_explicit_max_ttl": 59}),
            "59 s only",
        ),
        ("limited uses", json!({"token_num_uses": 2}), "uses"),
        (
            "no end",
            json!({"token_max_ttl": 0, "token_explicit_max_ttl": 0}),
            "explicit_max_ttl",
        ),
        ("a period", json!({"token_period": 90}), "periodic"),
    ];
    for (name, changes, word) in cases {
        stage.role("changed", changes).await;
        let before = stage.logged_in();
        let vault = stage.vault();
        let error = refused(&vault, attempt("run-1", "changed", identity("billing"))).await;
        let VaultError::LoginMismatch {
            role,
            difference,
            revoked,
        } = &error
        else {
            panic!("{name}: {error}")
        };
        assert_eq!(role, "auth/cofferdam-jwt/role/changed");
        assert!(difference.contains(word), "{name}: {difference}");
        assert!(revoked, "{name}");
        assert_eq!(error.exit(), Exit::Denied);
        assert!(
            error
                .hint()
                .unwrap()
                .contains("cofferdam policy TASK --write")
        );
        assert_eq!(stage.logged_in(), before + 1, "{name}: it was made");
        stage.nothing_is_left(vault).await;
    }
    // Positive control: an hour more than asked is the most that is taken.
    let life = json!({"token_ttl": 100, "token_max_ttl": 3_696, "token_explicit_max_ttl": 3_696});
    stage.role("changed", life).await;
    let vault = stage.vault();
    let asked = attempt("run-1", "changed", identity("billing"));
    let session = vault.open(asked, &Default::default()).await;
    let session = session.map_err(|error| error.to_string()).unwrap();
    assert_eq!(session.explicit_max_ttl().as_secs(), 3_696);
    session.close().await;
    stage.nothing_is_left(vault).await;
}

/// It cannot be named, so it cannot be revoked, and the error says so.
#[tokio::test]
async fn a_batch_token_is_refused_and_told() {
    let stage = Stage::set().await;
    let batch = json!({"token_type": "batch", "token_explicit_max_ttl": 0});
    stage.role("batch", batch).await;
    let vault = stage.vault();
    let error = refused(&vault, attempt("run-1", "batch", identity("billing"))).await;
    assert!(
        matches!(&error, VaultError::LoginMismatch { revoked: false, .. }),
        "{error}"
    );
    vault.close().await;
    // The journal tells of it until it is dead.
    let next = stage.vault();
    let report = next.sweep().await.unwrap();
    assert_eq!(report.found.len(), 1, "{report:?}");
    assert_eq!(report.found[0].outcome.to_string(), "in_flight");
    next.close().await;
    assert!(stage.world.living().await.is_empty());
}

#[tokio::test]
async fn a_group_with_policies_is_noticed() {
    let stage = Stage::set().await;
    let vault = stage.vault();
    let session = open(&vault, "run-1", "billing").await;
    let entity = session.identity().entity.clone().unwrap();
    session.close().await;
    let group = json!({"name": "team", "policies": ["team-x"], "member_entity_ids": [entity]});
    stage.write("identity/group", group).await;
    let before = stage.logged_in();
    let error = refused(&vault, attempt("run-2", "any", identity("billing"))).await;
    assert!(error.to_string().contains("team-x"), "{error}");
    assert_eq!(stage.logged_in(), before + 1);
    // Another DAG is another entity.
    assert!(
        open(&vault, "run-3", "payroll")
            .await
            .close()
            .await
            .complete
    );
    stage.nothing_is_left(vault).await;
}

#[tokio::test]
async fn an_ambiguous_answer_is_never_asked_again() {
    let stage = Stage::set().await;
    let proxy = Proxy::start(stage.world.bao.socket()).unwrap();
    let mut config = stage.config();
    config.addresses = vec![proxy.address()].try_into().unwrap();
    for (fault, made) in [
        (Fault::ResetAfterAnswer, 1),
        (Fault::Cut(200), 1),
        (Fault::Reset, 0),
        (Fault::Status(500, None), 0),
        (Fault::Status(429, Some(1)), 0),
    ] {
        let vault = cofferdam::vault::Vault::new(config.clone(), &stage.world.state()).unwrap();
        let path = format!("auth/{MOUNT}/login");
        let broken = proxy.inject(Rule::on("POST", &path, fault.clone()));
        let before = stage.logged_in();
        let error = refused(&vault, attempt("run-1", "any", identity("billing"))).await;
        // A rate limit certainly made nothing, so it is waited out.
        let certain = matches!(fault, Fault::Status(429, _));
        assert!(broken.hits() == 1 || certain, "{fault:?}: {error}");
        assert!(broken.hits() >= 1);
        assert_eq!(stage.logged_in(), before + made, "{fault:?}");
        drop(broken);
        vault.close().await;
        // Whether there is a token, nobody knows but the journal that there may be.
        let certain = matches!(fault, Fault::Status(429, _));
        assert_eq!(
            stage.world.journal().len(),
            usize::from(!certain),
            "{fault:?}"
        );
        for record in stage.world.journal() {
            record.remove().unwrap();
        }
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_looked_at_is_not_used() {
    let stage = Stage::set().await;
    let proxy = Proxy::start(stage.world.bao.socket()).unwrap();
    let mut config = stage.config();
    config.addresses = vec![proxy.address()].try_into().unwrap();
    let vault = cofferdam::vault::Vault::new(config, &stage.world.state()).unwrap();
    let broken = proxy.inject(Rule::on(
        "POST",
        "auth/token/lookup-accessor",
        Fault::Status(500, None),
    ));
    let before = stage.logged_in();
    let error = refused(&vault, attempt("run-1", "any", identity("billing"))).await;
    assert!(matches!(error, VaultError::Overloaded { .. }), "{error}");
    assert_eq!(stage.logged_in(), before + 1);
    assert!(broken.hits() >= 1);
    stage.nothing_is_left(vault).await;
}

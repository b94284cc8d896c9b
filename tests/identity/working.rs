//! What works.

use cofferdam::scrub::SecretSet;
use cofferdam::vault::SessionKind;
use serde_json::json;

use super::stage::{AUDIENCE, MOUNT, Stage, attempt, identity, open, parts, reads};
use crate::observe::world::{asked, declare, lines};

#[tokio::test]
async fn an_attempt_is_its_dag_to_vault() {
    let stage = Stage::set().await;
    let vault = stage.vault();
    let secrets = SecretSet::default();
    let asked = attempt("run-1", "any", identity("billing"));
    let session = vault.open(asked, &secrets).await.unwrap();
    assert!(reads(&session, "billing").await);
    assert!(!reads(&session, "payroll").await);

    // As the server sees it: a token of its own, that ends by itself.
    let living = stage.world.bao.living().await.unwrap();
    assert_eq!(living.len(), 2);
    let token = living
        .iter()
        .find(|token| token.policies == ["cofferdam-dag"])
        .unwrap();
    assert_eq!(token.explicit_max_ttl, 96);
    let meta = json!(token.meta);
    assert_eq!(
        meta,
        json!({
            "role": "any", "assurance": "claimed", "bundle": "main", "dag_id": "billing",
            "task_id": "sync", "task": "sync", "cofferdam_run": "run-1",
        })
    );
    // As the audit tells it.
    let seen = session.identity();
    assert_eq!(seen.session, SessionKind::JwtLogin);
    assert_eq!(seen.policies, ["cofferdam-dag"]);
    let subject = seen.subject.as_deref();
    assert_eq!(subject, Some("cofferdam:claimed:main:billing:sync:sync"));
    assert_eq!(seen.role.as_deref(), Some("auth/cofferdam-jwt/role/any"));
    let path = format!("identity/entity/id/{}", seen.entity.as_ref().unwrap());
    let (_, entity) = stage.world.root("GET", &path, None).await;
    assert_eq!(entity["data"]["aliases"][0]["name"], json!(subject));
    assert_eq!(session.explicit_max_ttl().as_secs(), 96);

    // The host's log-in ends it, and nothing else.
    assert_eq!(stage.world.journal().len(), 2);
    assert!(session.close().await.complete);
    assert_eq!(stage.world.living().await.len(), 1);
    stage.nothing_is_left(vault).await;
}

#[tokio::test]
async fn vaults_audit_tells_which_run_logged_in() {
    let stage = Stage::set().await;
    let bao = &stage.world.bao;
    declare(stage.world.folder.path(), bao);
    let from = lines(bao);
    let vault = stage.vault();
    let wanted = attempt("run-1", "any", identity("billing"));
    let session = vault.open(wanted, &SecretSet::default()).await.unwrap();
    assert!(reads(&session, "billing").await);
    assert!(session.close().await.complete);
    let (own, of_run): (Vec<_>, Vec<_>) = asked(bao, from)
        .into_iter()
        .partition(|(path, _)| path == "auth/approle/login");
    assert!(own.len() == 1 && own[0].1.is_none(), "{own:?}");
    for path in [
        &format!("auth/{MOUNT}/login"),
        "auth/token/lookup-accessor",
        "secret/data/dags/billing/api",
        "auth/token/revoke-accessor",
    ] {
        let found = of_run.iter().filter(|(asked, _)| asked == path);
        assert_eq!(found.count(), 1, "{path}: {of_run:?}");
    }
    let marked = |(_, run): &(String, Option<String>)| run.as_deref() == Some("run-1");
    assert!(of_run.iter().all(marked), "{of_run:?}");
    stage.nothing_is_left(vault).await;
}

#[tokio::test]
async fn the_jwt_holds_the_whole_identity_and_the_scrubber_knows_it() {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use cofferdam_devkit::proxy::Proxy;

    let stage = Stage::set().await;
    let proxy = Proxy::start(stage.world.bao.socket()).unwrap();
    let mut config = stage.config();
    config.addresses = vec![proxy.address()].try_into().unwrap();
    let vault = cofferdam::vault::Vault::new(config, &stage.world.state()).unwrap();
    let secrets = SecretSet::default();
    let asked = attempt("run-1", "any", identity("billing"));
    let session = vault.open(asked, &secrets).await.unwrap();
    let bodies = proxy.bodies();
    let body = bodies
        .iter()
        .filter_map(|body| serde_json::from_slice::<serde_json::Value>(body).ok())
        .find(|body| body["jwt"].is_string())
        .unwrap();
    let jwt = body["jwt"].as_str().unwrap();
    assert!(secrets.contains_secret(jwt.as_bytes()));
    assert!(!secrets.scrub_text(&format!("x {jwt} y")).contains(jwt));

    let parts: Vec<_> = jwt.split('.').collect();
    let json = |part: &str| -> serde_json::Value {
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let kid = &stage.keyring().public_keys().unwrap();
    let kid = json!(kid)["keys"][0]["kid"].clone();
    assert_eq!(
        json(parts[0]),
        json!({"alg": "ES256", "typ": "JWT", "kid": kid})
    );
    let mut claims = json(parts[1]);
    let issued = claims["iat"].as_i64().unwrap();
    assert!((jiff::Timestamp::now().as_second() - issued).abs() < 30);
    assert!(claims["jti"].as_str().unwrap().len() == 36);
    claims.as_object_mut().unwrap().remove("jti");
    let component = cofferdam::digest::Digest::of(b"component").to_string();
    assert_eq!(
        claims,
        json!({
            "iss": "https://cofferdam.example.com", "aud": AUDIENCE,
            "sub": "cofferdam:claimed:main:billing:sync:sync",
            "iat": issued, "nbf": issued, "exp": issued + 60,
            "bundle": "main", "dag_id": "billing", "task_id": "sync",
            "run_id": "manual__2026-01-01T00:00:00+00:00", "try_number": 2, "map_index": -1,
            "task": "sync", "component": component, "assurance": "claimed",
            "cofferdam_run": "run-1",
        })
    );
    session.close().await;
    vault.close().await;
}

#[tokio::test]
async fn the_longest_and_oddest_names_log_in() {
    let stage = Stage::set().await;
    let vault = stage.vault();
    let mut odd = parts("täglich: 100 % der Rechnungen #1 (a&b) <x>?");
    odd.bundle = "%".repeat(250);
    odd.task_id = "é".repeat(125);
    let asked = attempt("odd", "any", odd.check().unwrap());
    let opened = vault.open(asked, &SecretSet::default()).await;
    let session = opened.map_err(|error| error.to_string()).unwrap();
    let subject = session.identity().subject.clone().unwrap();
    assert!(subject.len() > 1_000 && subject.is_ascii(), "{subject}");
    assert!(session.close().await.complete);
    stage.nothing_is_left(vault).await;
}

#[tokio::test]
async fn a_child_token_says_whose_it_is() {
    let stage = Stage::set().await;
    let vault = stage.vault();
    let session = crate::vault::world::open(&vault, "0198f2c4-7a11-7000-8000-0123456789ab").await;
    let (_, answer) = stage.world.root("LIST", "auth/token/accessors", None).await;
    let mut names = Vec::new();
    for accessor in answer["data"]["keys"].as_array().unwrap() {
        let (_, token) = stage.world.lookup(accessor.as_str().unwrap()).await;
        names.push(token["data"]["display_name"].as_str().unwrap().to_owned());
    }
    let wanted = "token-billing-0198f2c4-7a11-7000-8000-0123456789ab";
    assert!(names.iter().any(|name| name == wanted), "{names:?}");
    let seen = session.identity();
    assert_eq!(seen.session, SessionKind::ChildToken);
    assert_eq!(seen.policies, ["cofferdam-task-billing"]);
    assert!(seen.role.is_none() && seen.subject.is_none() && seen.entity.is_some());
    session.close().await;
    stage.nothing_is_left(vault).await;
}

/// Whatever the order of their ends.
#[tokio::test]
async fn the_process_may_end_before_the_attempt_and_the_sweep_finds_it() {
    let stage = Stage::set().await;
    let vault = stage.vault();
    let session = open(&vault, "run-1", "billing").await;
    vault.close().await;
    // Not a child of the log-in that is gone.
    assert_eq!(stage.world.living().await.len(), 1);
    let revocation = session.close().await;
    assert_eq!(
        (revocation.complete, revocation.reason),
        (false, Some("closed"))
    );
    assert_eq!(stage.world.living().await.len(), 1);

    let next = stage.vault();
    let report = next.sweep().await.unwrap();
    assert!(report.is_clean() && report.found.len() == 1, "{report:?}");
    stage.nothing_is_left(next).await;
}

#[tokio::test]
async fn a_dead_token_is_told_from_a_refusal() {
    use cofferdam::vault::VaultError;
    use cofferdam::vault::path::KvPath;

    let stage = Stage::set().await;
    let vault = stage.vault();
    let session = open(&vault, "run-1", "billing").await;
    let path = |dag: &str| KvPath::V2 {
        mount: "secret".parse().unwrap(),
        path: format!("dags/{dag}/api").parse().unwrap(),
        version: None,
    };
    let error = session.handle().kv(&path("payroll")).await.map(|_| ());
    assert!(
        matches!(error, Err(VaultError::Refused { .. })),
        "{error:?}"
    );

    let kill = async |policy: &str| {
        let living = stage.world.bao.living().await.unwrap();
        for token in living.iter().filter(|token| token.policies == [policy]) {
            let body = json!({"accessor": token.accessor});
            stage.write("auth/token/revoke-accessor", body).await;
        }
    };
    kill("cofferdam-dag").await;
    let error = session.handle().kv(&path("payroll")).await.map(|_| ());
    assert!(matches!(error, Err(VaultError::Ended)), "{error:?}");
    assert!(session.close().await.complete);

    // The host's log-in dies: the attempt's token is no child of it.
    let session = open(&vault, "run-1b", "billing").await;
    kill("cofferdam-host").await;
    assert!(reads(&session, "billing").await);
    let error = session.handle().kv(&path("payroll")).await.map(|_| ());
    assert!(
        matches!(error, Err(VaultError::Refused { .. })),
        "{error:?}"
    );

    // Another attempt needs another log-in of the host, which then ends both.
    let next = open(&vault, "run-2", "payroll").await;
    assert!(next.close().await.complete);
    assert!(session.close().await.complete);
    vault.close().await;
    assert!(stage.world.living().await.is_empty());
}

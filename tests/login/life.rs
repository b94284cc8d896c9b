//! Renewal, and telling a dead token from a refusal.

use std::time::{Duration, Instant};

use cofferdam::vault::path::KvPath;
use cofferdam::vault::{VaultConfig, VaultError, VaultErrorKind};
use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use serde_json::json;

use super::host::Host;
use crate::vault::world::open;

const RENEWALS: &str = "auth/token/renew-self";

async fn set_ttl(host: &Host, ttl: &str, max: &str) {
    let body = json!({"token_ttl": ttl, "token_max_ttl": max});
    let (status, _) = host
        .bao
        .root("POST", "auth/approle/role/cofferdam-host", Some(body))
        .await
        .unwrap();
    assert_eq!(status, 204);
}

#[tokio::test]
async fn a_log_in_is_extended_before_a_mint_that_needs_more() {
    let host = Host::start().await;
    let config = host.follow("AppRole");
    set_ttl(&host, "20s", "1h").await;
    let vault = host.vault(&config);
    let session = open(&vault, "one").await;
    assert_eq!(host.bao.answers_to(RENEWALS).unwrap().len(), 1);
    let living = host.bao.living().await.unwrap();
    let of = |policy: &str| {
        let found = living.iter().find(|token| token.policies == [policy]);
        found.unwrap().ttl
    };
    assert!(of("cofferdam-host") >= of("cofferdam-task-billing"));
    session.close().await;
    vault.close().await;
    host.nothing_is_left().await;
}

/// A log-in that lives for three seconds: a sweep makes it, which needs no more.
async fn short_lived(host: &Host, config: &VaultConfig) -> cofferdam::vault::Vault {
    let killed = host.vault(config);
    drop(open(&killed, "killed").await);
    killed.close().await;
    set_ttl(host, "3s", "1h").await;
    let vault = host.vault(config);
    let report = vault.sweep().await.unwrap();
    assert!(report.is_clean() && report.found.len() == 1, "{report:?}");
    vault
}

#[tokio::test]
async fn a_log_in_is_renewed_in_the_background_until_the_process_closes() {
    let host = Host::start().await;
    let config = host.follow("AppRole");
    let vault = short_lived(&host, &config).await;
    let until = Instant::now() + Duration::from_secs(30);
    while host.bao.answers_to(RENEWALS).unwrap().len() < 3 {
        assert!(Instant::now() < until, "it was not renewed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Past its first end, and alive by the server's word.
    assert_eq!(host.bao.living().await.unwrap().len(), 1);
    assert!(vault.close().await.expect("a log-in").complete);
    host.nothing_is_left().await;
    let renewed = host.bao.answers_to(RENEWALS).unwrap().len();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(host.bao.answers_to(RENEWALS).unwrap().len(), renewed);
}

#[tokio::test]
async fn a_renewal_that_is_refused_for_ever_is_given_up() {
    for status in [403, 500] {
        let mut host = Host::start().await;
        let config = host.follow("AppRole");
        drop(config);
        let proxy = Proxy::start(host.bao.socket()).unwrap();
        host.common = format!("address = {:?}\n", proxy.address());
        let config = host.config(
            "[vault.auth.approle]\nrole_id_file = \"role-id\"\nsecret_id_file = \"secret-id\"",
        );
        let refused = proxy.inject(Rule::on("POST", RENEWALS, Fault::Status(status, None)));
        let vault = short_lived(&host, &config).await;
        refused.hit(Duration::from_secs(10)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let hits = refused.hits();
        assert!((1..=2).contains(&hits), "{hits} renewals were asked for");
        vault.close().await;
        host.nothing_is_left().await;
    }
}

#[tokio::test]
async fn a_dead_token_is_told_from_a_refusal() {
    let host = Host::start().await;
    let config = host.follow("AppRole");
    let vault = host.vault(&config);
    let session = open(&vault, "one").await;
    let path = KvPath::V2 {
        mount: "secret".parse().unwrap(),
        path: "none".parse().unwrap(),
        version: None,
    };
    // There is no policy of this task, so whatever it asks is refused.
    let error = session.handle().kv(&path).await.unwrap_err();
    assert!(matches!(error, VaultError::Refused { .. }), "{error}");
    assert_eq!(error.kind(), VaultErrorKind::Denied);

    let living = host.bao.living().await.unwrap();
    let child = living
        .iter()
        .find(|token| token.policies == ["cofferdam-task-billing"])
        .unwrap();
    let body = json!({"accessor": child.accessor});
    let (status, _) = host
        .bao
        .root("POST", "auth/token/revoke-accessor", Some(body))
        .await
        .unwrap();
    assert_eq!(status, 204);
    let error = session.handle().kv(&path).await.unwrap_err();
    assert!(matches!(error, VaultError::Ended), "{error}");
    assert!(session.close().await.complete);

    // The log-in's end takes the child with it.
    let session = open(&vault, "two").await;
    let living = host.bao.living().await.unwrap();
    let login = living
        .iter()
        .find(|token| token.policies == ["cofferdam-host"])
        .unwrap();
    let body = json!({"accessor": login.accessor});
    host.bao
        .root("POST", "auth/token/revoke-accessor", Some(body))
        .await
        .unwrap();
    let error = session.handle().kv(&path).await.unwrap_err();
    assert!(matches!(error, VaultError::Ended), "{error}");
    assert!(session.close().await.complete);
    // And the next attempt logs in again.
    assert!(open(&vault, "three").await.close().await.complete);
    vault.close().await;
    host.nothing_is_left().await;
}

//! One log-in at a time is renewed: a new one stops whoever renewed the old.

use std::time::Duration;

use cofferdam::scrub::SecretSet;
use cofferdam::vault::{AttemptAuthority, Session, Vault};
use serde_json::json;

use super::host::Host;
use crate::vault::world::attempt;

const RENEWALS: &str = "auth/token/renew-self";

/// The shortest attempt: its token needs 37 s.
async fn open(vault: &Vault, run: &str) -> Session {
    let attempt = AttemptAuthority {
        deadline: Duration::from_secs(1),
        ..attempt(run)
    };
    let opened = vault.open(attempt, &SecretSet::default()).await;
    opened.map_err(|error| error.to_string()).unwrap()
}

/// The accessors of the host's living log-ins.
async fn log_ins(host: &Host) -> Vec<String> {
    let living = host.bao.living().await.unwrap();
    living
        .into_iter()
        .filter(|token| token.policies == ["cofferdam-host"])
        .map(|token| token.accessor)
        .collect()
}

/// How often this log-in asked to be renewed, by the server's own audit.
async fn renewals(host: &Host, accessor: &str) -> usize {
    let hash = host.bao.audit_hash(accessor).await.unwrap();
    let answers = host.bao.answers_to(RENEWALS).unwrap();
    answers
        .iter()
        .filter(|answer| answer["auth"]["accessor"] == json!(hash))
        .count()
}

async fn role(host: &Host, ttl: &str) {
    let body = json!({"token_ttl": ttl, "token_max_ttl": ttl});
    let path = "auth/approle/role/cofferdam-host";
    let (status, _) = host.bao.root("POST", path, Some(body)).await.unwrap();
    assert_eq!(status, 204);
}

#[tokio::test]
async fn a_log_in_that_was_replaced_is_renewed_no_more() {
    let host = Host::start().await;
    let config = host.follow("AppRole");
    // It can be put off no further, so that the second attempt needs another
    // while the first still needs this one.
    role(&host, "40s").await;
    let vault = host.vault(&config);
    let first = open(&vault, "one").await;
    let old = log_ins(&host).await;
    assert_eq!(old.len(), 1);
    tokio::time::sleep(Duration::from_millis(3500)).await;
    let second = open(&vault, "two").await;
    let both = log_ins(&host).await;
    assert_eq!(both.len(), 2, "the first attempt keeps its own");
    let new = both.iter().find(|accessor| **accessor != old[0]).unwrap();
    // The mint itself asked once whether a later end could be had.
    let asked = renewals(&host, &old[0]).await;
    assert_eq!(asked, 1);

    // Long enough for both to be due, after two thirds of their 40 s.
    let until = std::time::Instant::now() + Duration::from_secs(45);
    while renewals(&host, new).await == 0 {
        assert!(
            std::time::Instant::now() < until,
            "the new one is not renewed"
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(renewals(&host, &old[0]).await, asked);

    assert!(first.close().await.complete);
    assert_eq!(
        log_ins(&host).await,
        *std::slice::from_ref(new),
        "nobody needs the old one"
    );
    assert!(second.close().await.complete);
    assert!(vault.close().await.expect("a log-in").complete);
    host.nothing_is_left().await;
}

#[tokio::test]
async fn a_dead_log_in_is_asked_about_once_and_renewed_no_more() {
    let host = Host::start().await;
    let config = host.follow("AppRole");
    let vault = host.vault(&config);
    open(&vault, "one").await.close().await;
    let old = log_ins(&host).await;
    let body = json!({"accessor": old[0]});
    let path = "auth/token/revoke-accessor";
    host.bao.root("POST", path, Some(body)).await.unwrap();
    // The next attempt finds out and logs in again, once.
    let made = host.bao.tokens_made("auth/approle/login").unwrap();
    let (two, three) = tokio::join!(open(&vault, "two"), open(&vault, "three"));
    assert_eq!(
        host.bao.tokens_made("auth/approle/login").unwrap(),
        made + 1
    );
    assert_eq!(log_ins(&host).await.len(), 1);
    assert!(two.close().await.complete && three.close().await.complete);
    vault.close().await;
    host.nothing_is_left().await;
}

//! Credentials that somebody rotates under a process that goes on: each is read
//! anew at the next log-in.

use std::time::Duration;

use cofferdam::vault::{Vault, VaultConfig};
use cofferdam_devkit::identity::Issuer;
use serde_json::json;

use super::host::Host;
use crate::vault::world::{open, refused};

/// A process that has logged in with the first credential.
async fn logged_in(host: &Host, config: &VaultConfig) -> Vault {
    let vault = host.vault(config);
    assert!(open(&vault, "before").await.close().await.complete);
    vault
}

/// Ends the process's log-in under it, so that it makes another one.
async fn end_log_in(host: &Host) {
    let living = host.bao.living().await.unwrap();
    let [login] = &living[..] else {
        panic!("the log-in alone: {}", living.len())
    };
    let body = json!({"accessor": login.accessor});
    let path = "auth/token/revoke-accessor";
    let (status, _) = host.bao.root("POST", path, Some(body)).await.unwrap();
    assert_eq!(status, 204);
}

/// With the file as it was the server refuses; with the new one it does not.
async fn takes_the_new_one(host: &Host, vault: Vault, file: &str, fresh: &str) {
    end_log_in(host).await;
    refused(&vault, "outdated").await;
    host.write(file, fresh);
    // After a refusal the process waits for a moment before it asks again.
    let mut session = None;
    for _ in 0..100 {
        session = crate::vault::world::try_open(&vault, "after").await.ok();
        if session.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(session.expect("taken").close().await.complete);
    assert!(vault.close().await.expect("a log-in").complete);
    host.nothing_is_left().await;
}

#[tokio::test]
async fn a_secret_id() {
    let host = Host::start().await;
    let config = host.follow("AppRole");
    let vault = logged_in(&host, &config).await;
    let role = "auth/approle/role/cofferdam-host";
    let old = std::fs::read_to_string(host.folder.path().join("secret-id")).unwrap();
    let body = json!({"secret_id": old.trim()});
    let path = format!("{role}/secret-id/destroy");
    host.bao.root("POST", &path, Some(body)).await.unwrap();
    let path = format!("{role}/secret-id");
    let (_, made) = host.bao.root("POST", &path, None).await.unwrap();
    let fresh = made["data"]["secret_id"].as_str().unwrap();
    takes_the_new_one(&host, vault, "secret-id", fresh).await;
}

#[tokio::test]
async fn a_jwt() {
    let host = Host::start().await;
    let issuer = Issuer::new("https://issuer.example.com").unwrap();
    let jwt = |life| issuer.token("vault.example.com", "worker-7", life).unwrap();
    host.write("issuer.pub.pem", &issuer.public_key_pem());
    let hour = Duration::from_secs(3_600);
    host.write("host.jwt", &jwt(hour));
    let config = host.follow("JWT");
    let vault = logged_in(&host, &config).await;
    let expired = issuer.expired_token("vault.example.com", "worker-7");
    host.write("host.jwt", &expired.unwrap());
    takes_the_new_one(&host, vault, "host.jwt", &jwt(hour)).await;
}

#[tokio::test]
async fn a_password() {
    let host = Host::start().await;
    host.write("password", "correct-horse-battery");
    let config = host.follow("userpass");
    let vault = logged_in(&host, &config).await;
    let body = json!({"password": "another-horse-battery"});
    let path = "auth/userpass/users/worker-7/password";
    let (status, _) = host.bao.root("POST", path, Some(body)).await.unwrap();
    assert_eq!(status, 204);
    takes_the_new_one(&host, vault, "password", "another-horse-battery").await;
}

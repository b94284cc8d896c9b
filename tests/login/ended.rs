//! Credentials that were good once, or are good for somebody else: expired,
//! used up, taken back, bound to another address.

use std::time::Duration;

use cofferdam::vault::{VaultConfig, VaultError};
use serde_json::{Value, json};

use super::host::Host;
use crate::vault::world::refused;

const APPROLE: &str = "auth/approle/role/cofferdam-host";

/// A moment longer than the shortest life that Vault gives.
const OVER_A_SECOND: Duration = Duration::from_millis(1500);

async fn write(host: &Host, path: &str, body: Value) -> Value {
    let (status, answer) = host.bao.root("POST", path, Some(body)).await.unwrap();
    assert!((200..300).contains(&status), "{path}: {answer}");
    answer
}

/// A fresh secret-id of this kind, in the host's file.
async fn secret_id(host: &Host, kind: Value) -> String {
    let answer = write(host, &format!("{APPROLE}/secret-id"), kind).await;
    let text = answer["data"]["secret_id"].as_str().unwrap().to_owned();
    host.write("secret-id", &text);
    text
}

#[tokio::test]
async fn a_secret_id_that_is_expired_used_up_destroyed_or_bound_elsewhere() {
    let host = Host::start().await;
    let config = host.follow("AppRole");

    let id = secret_id(&host, json!({"ttl": "1s"})).await;
    tokio::time::sleep(OVER_A_SECOND).await;
    host.is_refused(&config, &[&id]).await;

    let id = secret_id(&host, json!({"num_uses": 1})).await;
    host.logs_in(&config).await;
    host.is_refused(&config, &[&id]).await;

    let id = secret_id(&host, json!({})).await;
    host.logs_in(&config).await;
    let path = format!("{APPROLE}/secret-id/destroy");
    write(&host, &path, json!({"secret_id": id})).await;
    host.is_refused(&config, &[&id]).await;

    let elsewhere = json!({"cidr_list": ["192.0.2.0/24"]});
    let id = secret_id(&host, elsewhere).await;
    let hint = host.is_refused(&config, &[&id]).await;
    assert!(hint.contains("bound to another address"), "{hint}");

    // A good secret-id of another role-id's.
    let id = secret_id(&host, json!({})).await;
    host.logs_in(&config).await;
    host.write("role-id", "00000000-0000-0000-0000-000000000000");
    host.is_refused(&config, &[&id]).await;
}

#[tokio::test]
async fn a_wrapping_that_is_expired_is_told_and_nothing_is_made() {
    let host = Host::start().await;
    let config = host.follow("AppRole, wrapped");
    let path = format!("{APPROLE}/secret-id");
    let wrapped = host.bao.root_wrapped("POST", &path, None, "1s").await;
    let (_, wrapped) = wrapped.unwrap();
    let token = wrapped["wrap_info"]["token"].as_str().unwrap();
    host.write("wrapped-secret-id", token);
    tokio::time::sleep(OVER_A_SECOND).await;
    let error = refused(&host.vault(&config), "one").await;
    assert!(matches!(error, VaultError::WrappedUsedUp { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains(token));
    // OpenBao lists the wrapping's own token for a while after its end; there
    // is no log-in beside it.
    let living = host.bao.living_policies().await.unwrap();
    assert!(
        living
            .iter()
            .all(|policies| *policies == ["response-wrapping"]),
        "{living:?}"
    );
    host.journal_is_empty();
}

#[tokio::test]
async fn a_user_that_is_unknown_gone_or_elsewhere() {
    let host = Host::start().await;
    host.write("password", "correct-horse-battery");
    let config = host.follow("userpass");
    host.logs_in(&config).await;
    let user = "auth/userpass/users/worker-7";
    write(&host, user, json!({"token_bound_cidrs": ["192.0.2.0/24"]})).await;
    host.is_refused(&config, &["correct-horse"]).await;
    let (status, _) = host.bao.root("DELETE", user, None).await.unwrap();
    assert_eq!(status, 204);
    host.is_refused(&config, &["correct-horse"]).await;
}

/// The error of a lent token that cannot carry attempts.
async fn unusable(host: &Host, config: &VaultConfig) -> String {
    let vault = host.vault(config);
    let error = refused(&vault, "one").await;
    assert!(matches!(error, VaultError::LoginUnusable { .. }), "{error}");
    assert!(vault.close().await.is_none());
    error.to_string()
}

#[tokio::test]
async fn a_token_in_a_file_that_is_expired_wrong_or_no_service_token() {
    let host = Host::start().await;
    let config = host.follow("Token file");
    let made = |kind: &str, ttl: &str| {
        json!({
            "policies": ["cofferdam-host"], "no_default_policy": true, "ttl": ttl, "type": kind,
            "no_parent": true,
        })
    };
    let answer = write(&host, "auth/token/create", made("service", "1s")).await;
    host.write("token", answer["auth"]["client_token"].as_str().unwrap());
    tokio::time::sleep(OVER_A_SECOND).await;
    assert!(unusable(&host, &config).await.contains("dead"));

    host.write("token", "s.wrongwrongwrongwrong");
    let told = unusable(&host, &config).await;
    assert!(
        told.contains("dead") && !told.contains("wrongwrong"),
        "{told}"
    );

    let answer = write(&host, "auth/token/create", made("batch", "1h")).await;
    host.write("token", answer["auth"]["client_token"].as_str().unwrap());
    assert!(
        unusable(&host, &config)
            .await
            .contains("not a service token")
    );
}

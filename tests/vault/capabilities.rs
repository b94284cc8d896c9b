//! What an attempt may do.

use cofferdam::vault::path::{KvPath, TransitKey};
use cofferdam::vault::{VaultError, VaultErrorKind};
use serde_json::json;

use super::world::{CANARY, World, open};

fn v1(path: &str) -> KvPath {
    KvPath::V1 {
        mount: "kv1".parse().unwrap(),
        path: path.parse().unwrap(),
    }
}

fn v2(path: &str, version: Option<u64>) -> KvPath {
    KvPath::V2 {
        mount: "secret".parse().unwrap(),
        path: path.parse().unwrap(),
        version,
    }
}

fn key(name: &str) -> TransitKey {
    TransitKey {
        mount: "transit".parse().unwrap(),
        key: name.parse().unwrap(),
    }
}

#[tokio::test]
async fn kv_in_both_versions() {
    let world = World::start().await;
    let body = json!({"data": {"token": "second-value"}});
    world.root("POST", "secret/data/billing", Some(body)).await;
    let body = json!({"data": {"token": "soon gone"}});
    world.root("POST", "secret/data/gone", Some(body)).await;
    world.root("DELETE", "secret/data/gone", None).await;

    let vault = world.vault();
    let session = open(&vault, "one").await;
    let handle = session.handle();
    let field = |data: &cofferdam::vault::KvData, name: &str| {
        data.fields[name].expose_str().unwrap().to_owned()
    };

    let old = handle.kv(&v1("billing")).await.unwrap();
    assert_eq!(field(&old.value, "token"), CANARY);
    assert_eq!(old.value.version, None);
    assert!(old.request_id.is_some());
    assert!(!format!("{old:?}").contains(CANARY));

    let first = handle.kv(&v2("billing", Some(1))).await.unwrap();
    assert_eq!(field(&first.value, "token"), CANARY);
    assert_eq!(field(&first.value, "n"), r#"{"k":[1,true]}"#);
    let newest = handle.kv(&v2("billing", None)).await.unwrap();
    assert_eq!(field(&newest.value, "token"), "second-value");
    assert_eq!(newest.value.version, Some(2));

    for absent in [v2("gone", None), v2("billing", Some(9)), v1("gone")] {
        let error = handle.kv(&absent).await.expect_err("absent");
        assert_eq!(
            error.kind(),
            VaultErrorKind::NotFound,
            "{absent:?}: {error}"
        );
    }
    // Not in the policy: Vault itself refuses.
    let error = handle
        .kv(&v2("other", None))
        .await
        .expect_err("not granted");
    assert!(matches!(error, VaultError::Refused { .. }), "{error}");

    session.close().await;
    vault.close().await;
}

#[tokio::test]
async fn transit() {
    let world = World::start().await;
    let vault = world.vault();
    let session = open(&vault, "one").await;
    let handle = session.handle();

    let signed = handle
        .transit_sign(&key("signer"), b"message")
        .await
        .unwrap();
    assert!(signed.value.starts_with("vault:v1:"));
    assert!(signed.request_id.is_some());
    let yes = handle
        .transit_verify(&key("signer"), b"message", &signed.value)
        .await
        .unwrap();
    assert!(yes.value);
    let no = handle
        .transit_verify(&key("signer"), b"massage", &signed.value)
        .await
        .unwrap();
    assert!(!no.value);
    let error = handle
        .transit_verify(&key("signer"), b"message", "nonsense")
        .await;
    assert_eq!(
        error.expect_err("no signature").kind(),
        VaultErrorKind::Invalid
    );

    let first = handle
        .transit_hmac(&key("box"), b"message")
        .await
        .unwrap()
        .value;
    let second = handle
        .transit_hmac(&key("box"), b"message")
        .await
        .unwrap()
        .value;
    assert_eq!(first, second);
    assert!(first.starts_with("vault:v1:"));

    let plain: Vec<u8> = (0..=255).collect();
    for message in [&b""[..], &plain] {
        let secret = handle.transit_encrypt(&key("box"), message).await.unwrap();
        let back = handle
            .transit_decrypt(&key("box"), &secret.value)
            .await
            .unwrap();
        assert_eq!(back.value.expose(), message);
    }
    let error = handle.transit_decrypt(&key("box"), "vault:v1:AAAA").await;
    assert_eq!(error.expect_err("not ours").kind(), VaultErrorKind::Invalid);
    // The policy names the operation, not the key alone.
    let error = handle.transit_encrypt(&key("signer"), b"x").await;
    assert_eq!(
        error.expect_err("not granted").kind(),
        VaultErrorKind::Denied
    );

    session.close().await;
    vault.close().await;
}

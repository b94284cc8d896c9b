//! Where a token never goes: to another host, into another namespace, and
//! nowhere because of an environment variable.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cofferdam::secret::Secret;
use cofferdam::vault::path::KvPath;
use cofferdam::vault::policy::{HOST_POLICY, TokenRole, host_policy};
use cofferdam::vault::{Admin, VaultError};
use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use cofferdam_devkit::upstream::Upstream;
use serde_json::{Value, json};

use super::host::Host;
use crate::common::{api, get, install, nobody_lives, world};
use crate::vault::world::{open, refused};

const APPROLE: &str =
    "[vault.auth.approle]\nrole_id_file = \"role-id\"\nsecret_id_file = \"secret-id\"";

/// Counts whoever comes.
fn stranger() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let came = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&came);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            drop(connection);
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    (address, came)
}

async fn secret(host: &Host, prefix: &str, value: &str) -> KvPath {
    let body = json!({"policy": "path \"secret/data/x\" { capabilities = [\"read\"] }"});
    let path = format!("{prefix}sys/policies/acl/cofferdam-task-billing");
    must(host, "PUT", &path, body).await;
    let path = format!("{prefix}secret/data/x");
    must(host, "POST", &path, json!({"data": {"token": value}})).await;
    KvPath::V2 {
        mount: "secret".parse().unwrap(),
        path: "x".parse().unwrap(),
        version: None,
    }
}

async fn must(host: &Host, method: &str, path: &str, body: Value) -> Value {
    let (status, answer) = host.bao.root(method, path, Some(body)).await.unwrap();
    assert!((200..300).contains(&status), "{path}: {answer}");
    answer
}

#[tokio::test]
async fn a_redirect_takes_no_credential_along_whatever_was_asked() {
    let (address, came) = stranger();
    for status in [301, 302, 303, 307, 308] {
        let mut host = Host::start().await;
        host.follow("AppRole");
        let proxy = Proxy::start(host.bao.socket()).unwrap();
        host.common = format!("address = {:?}\ntimeout = \"2s\"\n", proxy.address());
        let config = host.config(APPROLE);
        let path = secret(&host, "", "12345678-canary").await;
        let away = |method, part| {
            proxy.inject(Rule::on(
                method,
                part,
                Fault::Redirect(status, address.clone()),
            ))
        };

        let vault = host.vault(&config);
        for (method, part) in [
            ("GET", "sys/health"),
            ("POST", "approle/login"),
            ("POST", "token/create"),
        ] {
            let redirected = away(method, part);
            let error = refused(&vault, "away").await;
            let told = matches!(
                error,
                VaultError::Protocol { .. } | VaultError::NoNode { .. }
            );
            assert!(told, "{status} on {part}: {error}");
            assert!(redirected.hits() >= 1, "{part}");
        }
        let session = open(&vault, "one").await;
        let redirected = away("GET", "secret/data/x");
        let error = session.handle().kv(&path).await.unwrap_err();
        assert!(matches!(error, VaultError::Protocol { .. }), "{error}");
        assert!(redirected.hits() >= 1);
        drop(redirected);
        // As control: the same without a redirect.
        session.handle().kv(&path).await.unwrap();
        let redirected = away("POST", "revoke");
        assert!(!session.close().await.complete);
        assert!(redirected.hits() >= 1);
        drop(redirected);
        vault.close().await;
    }
    assert_eq!(came.load(Ordering::SeqCst), 0);
    // As control: it does count.
    let socket = address.strip_prefix("http://").unwrap();
    std::net::TcpStream::connect(socket).unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    while came.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < until, "nobody is counted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn everything_happens_in_the_namespace_of_the_operators_file() {
    let mut host = Host::start().await;
    host.follow("AppRole");
    must(&host, "POST", "sys/namespaces/team", json!({})).await;
    let mount = json!({"type": "kv", "options": {"version": "2"}});
    must(&host, "POST", "team/sys/mounts/secret", mount).await;
    secret(&host, "", "of-the-root-namespace").await;
    let path = secret(&host, "team/", "of-the-team").await;
    let common = host.common.clone();

    // The log-in of the root namespace is none there.
    host.common = format!("{common}namespace = \"team\"\n");
    let config = host.config(APPROLE);
    let vault = host.vault(&config);
    refused(&vault, "foreign").await;
    assert!(vault.close().await.is_none());

    let admin = Admin::connect(&config, Secret::new(host.bao.root_token())).unwrap();
    let role = "cofferdam".parse().unwrap();
    let hcl = host_policy(&role).to_hcl().unwrap();
    let name = HOST_POLICY.parse().unwrap();
    admin.put_policy(&name, &hcl).await.unwrap();
    let standard = TokenRole::standard();
    admin.put_token_role(&role, &standard).await.unwrap();
    host.sh(
        &crate::guide::section("AppRole").shell[0],
        &[("BAO_NAMESPACE", "team")],
    );
    let before = host.bao.answers().unwrap().len();
    let vault = host.vault(&config);
    let session = open(&vault, "one").await;
    let read = session.handle().kv(&path).await.unwrap();
    let value = read.value.fields.get("token").cloned();
    assert_eq!(
        value.unwrap().expose_str(),
        Some("of-the-team"),
        "the other namespace has the same path"
    );
    assert!(session.close().await.complete);
    assert!(vault.close().await.expect("a log-in").complete);
    let answers = host.bao.answers().unwrap();
    let ours: Vec<&Value> = answers[before..]
        .iter()
        .filter(|answer| answer["request"]["path"] != json!("sys/health"))
        .collect();
    assert!(ours.len() >= 5, "{ours:?}");
    for answer in ours {
        let place = &answer["request"]["namespace"]["path"];
        assert_eq!(place, &json!("team/"), "{answer}");
    }
    let (_, list) = host
        .bao
        .root("LIST", "team/auth/token/accessors", None)
        .await
        .unwrap();
    assert_eq!(list["data"]["keys"].as_array().map_or(0, Vec::len), 0);
    host.nothing_is_left().await;
}

#[tokio::test]
async fn the_environment_changes_nothing() {
    let world = world().await;
    let upstream = Upstream::start().unwrap();
    install(&world, "caller", "probe-http", &api(&upstream.address()));
    let (address, came) = stranger();
    let mut run = world.run("caller").input(get("status/200")).command();
    for name in [
        "VAULT_ADDR",
        "BAO_ADDR",
        "VAULT_PROXY_ADDR",
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ] {
        run.env(name, &address);
    }
    for (name, value) in [
        ("VAULT_NAMESPACE", "elsewhere"),
        ("BAO_NAMESPACE", "elsewhere"),
        ("VAULT_TOKEN", "s.wrongwrongwrongwrong"),
        ("VAULT_CACERT", "/none"),
        ("VAULT_SKIP_VERIFY", ""),
    ] {
        run.env(name, value);
    }
    let finished = crate::common::ended(run.spawn().unwrap());
    assert_eq!(finished.code, 0, "{finished:?}");
    assert_eq!(came.load(Ordering::SeqCst), 0);
    nobody_lives(world.bao().unwrap()).await;
}

#[tokio::test]
async fn a_silent_vault_does_not_stretch_a_tasks_deadline() {
    let world = world().await;
    let bao = world.bao().unwrap();
    let proxy = Proxy::start(bao.socket()).unwrap();
    world.vault_at(&proxy.address()).unwrap();
    let grants = format!(
        "[limits]\ntimeout = \"1500ms\"\n\n{}",
        api("http://127.0.0.1:1")
    );
    install(&world, "caller", "probe-http", &grants);
    // What is silent is cut off; a wish that cannot be met is not waited for.
    for (fault, code) in [
        (Fault::NeverAnswer, 5),
        (Fault::Status(503, Some(600)), 0),
        (Fault::Status(503, Some(1)), 5),
    ] {
        let silent = proxy.inject(Rule::on("GET", "secret/data/api", fault.clone()));
        let begun = Instant::now();
        let finished = world
            .run("caller")
            .input(get("status/200"))
            .finish()
            .unwrap();
        let took = begun.elapsed();
        assert!(silent.hits() >= 1, "{fault:?}");
        assert_eq!(finished.code, code, "{finished:?}");
        // Its `timeout` of `[vault]` is 10 s.
        assert!(took < Duration::from_secs(6), "{fault:?}: {took:?}");
        drop(silent);
        nobody_lives(bao).await;
    }
}

//! Several nodes: proxies before one server, as the nodes of a cluster.

use std::time::{Duration, Instant};

use cofferdam::vault::{Vault, VaultConfig, VaultError};
use cofferdam_devkit::openbao::{DevOptions, OpenBao};
use cofferdam_devkit::process::free_port;
use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use serde_json::json;

use super::host::Host;
use crate::vault::world::{open, refused};

const APPROLE: &str =
    "[vault.auth.approle]\nrole_id_file = \"role-id\"\nsecret_id_file = \"secret-id\"";

fn at(host: &mut Host, addresses: &[String]) -> VaultConfig {
    host.common = format!("addresses = {addresses:?}\ntimeout = \"4s\"\n");
    host.config(APPROLE)
}

async fn two_nodes() -> (Host, Proxy, Proxy, Vault) {
    let mut host = Host::start().await;
    host.follow("AppRole");
    let one = Proxy::start(host.bao.socket()).unwrap();
    let two = Proxy::start(host.bao.socket()).unwrap();
    let config = at(&mut host, &[one.address(), two.address()]);
    let vault = host.vault(&config);
    (host, one, two, vault)
}

async fn ends(host: &Host, vault: Vault) {
    assert!(vault.close().await.expect("a log-in").complete);
    host.nothing_is_left().await;
}

#[tokio::test]
async fn the_first_node_is_asked_and_its_health_once() {
    let (host, one, two, vault) = two_nodes().await;
    for run in ["a", "b", "c"] {
        assert!(open(&vault, run).await.close().await.complete);
    }
    ends(&host, vault).await;
    let health = one
        .passed()
        .iter()
        .filter(|passed| passed.target.contains("sys/health"))
        .count();
    assert_eq!(health, 1);
    assert!(two.passed().is_empty());
}

#[tokio::test]
async fn a_node_that_does_not_serve_is_passed_over() {
    for fault in [
        Fault::Status(472, None),
        Fault::Status(473, None),
        Fault::Status(501, None),
        Fault::Status(503, None),
        Fault::Reset,
        Fault::NeverAnswer,
    ] {
        let (host, one, two, vault) = two_nodes().await;
        let injected = one.inject(Rule::on("*", "", fault.clone()));
        assert!(open(&vault, "a").await.close().await.complete, "{fault:?}");
        assert!(injected.hits() >= 1, "{fault:?}");
        assert!(!two.passed().is_empty(), "{fault:?}");
        ends(&host, vault).await;
    }
}

#[tokio::test]
async fn a_node_that_fails_in_mid_run_is_left_and_returned_to() {
    for fault in [Fault::Status(472, None), Fault::Reset, Fault::NeverAnswer] {
        let (host, one, two, vault) = two_nodes().await;
        let session = open(&vault, "a").await;
        assert!(two.passed().is_empty());
        let injected = one.inject(Rule::on("*", "", fault.clone()));
        assert!(session.close().await.complete, "{fault:?}");
        assert!(injected.hits() >= 1, "{fault:?}");
        assert!(!two.passed().is_empty(), "{fault:?}");
        drop(injected);
        ends(&host, vault).await;
    }
}

#[tokio::test]
async fn a_mint_whose_answer_is_lost_is_not_repeated_at_the_next_node() {
    let (host, one, two, vault) = two_nodes().await;
    open(&vault, "a").await.close().await;
    let lost = one.inject(Rule::on("POST", "auth/token/create", Fault::ResetAfterAnswer).times(1));
    let before = host.bao.minted().unwrap();
    let error = refused(&vault, "b").await;
    assert!(matches!(error, VaultError::Unreachable { .. }), "{error}");
    assert_eq!((lost.hits(), host.bao.minted().unwrap()), (1, before + 1));
    assert!(
        two.passed()
            .iter()
            .all(|passed| !passed.target.contains("create"))
    );
    // Whoever comes next is served by the other node.
    assert!(open(&vault, "c").await.close().await.complete);
    vault.close().await;
}

#[tokio::test]
async fn without_a_serving_node_nothing_is_asked_for_and_each_is_told() {
    let mut host = Host::start().await;
    host.follow("AppRole");
    let sealed = OpenBao::start_dev(DevOptions::default()).unwrap();
    let (status, _) = sealed.root("PUT", "sys/seal", None).await.unwrap();
    assert_eq!(status, 204);
    let nobody = format!("http://127.0.0.1:{}", free_port().unwrap());
    let config = at(&mut host, &[sealed.address(), nobody.clone()]);
    let vault = host.vault(&config);
    let begun = Instant::now();
    let error = refused(&vault, "a").await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    let told = error.to_string();
    assert!(matches!(error, VaultError::NoNode { .. }), "{told}");
    assert!(
        told.contains(&format!("{} is sealed", sealed.address())),
        "{told}"
    );
    assert!(
        told.contains(&format!("{nobody} is not reachable")),
        "{told}"
    );
    assert!(vault.close().await.is_none());
    host.nothing_is_left().await;
}

#[tokio::test]
async fn a_sealed_or_dead_single_node_says_so_before_anything_is_asked_for() {
    let mut host = Host::start().await;
    host.follow("AppRole");
    let proxy = Proxy::start(host.bao.socket()).unwrap();
    let config = at(&mut host, &[proxy.address()]);
    let (status, _) = host.bao.root("PUT", "sys/seal", None).await.unwrap();
    assert_eq!(status, 204);
    let vault = host.vault(&config);
    let error = refused(&vault, "a").await;
    assert!(matches!(error, VaultError::Sealed { .. }), "{error}");
    let asked: Vec<_> = proxy
        .passed()
        .into_iter()
        .map(|passed| passed.target)
        .collect();
    assert_eq!(asked, ["/v1/sys/health"]);
}

#[tokio::test]
async fn a_node_of_another_cluster_is_never_used() {
    let (mut host, one, _, vault) = two_nodes().await;
    drop(vault);
    let other = OpenBao::start_dev(DevOptions::default()).unwrap();
    let config = at(&mut host, &[one.address(), other.address()]);
    let vault = host.vault(&config);
    let session = open(&vault, "a").await;
    let before = other.answers().unwrap().len();
    let injected = one.inject(Rule::on("*", "", Fault::Status(472, None)));
    let closed = session.close().await;
    assert!(injected.hits() >= 1);
    assert!(!closed.complete, "the other cluster cannot confirm it");
    assert_eq!(other.answers().unwrap().len(), before);
    drop(vault);
}

#[tokio::test]
async fn health_is_not_asked_when_the_operator_says_so() {
    let mut host = Host::start().await;
    host.follow("AppRole");
    let proxy = Proxy::start(host.bao.socket()).unwrap();
    host.common = format!("address = {:?}\nrequire_healthy = false\n", proxy.address());
    let vault = host.vault(&host.config(APPROLE));
    assert!(open(&vault, "a").await.close().await.complete);
    ends(&host, vault).await;
    assert!(
        proxy
            .passed()
            .iter()
            .all(|passed| !passed.target.contains("health"))
    );
}

#[tokio::test]
async fn a_read_outlasts_a_rate_limit_and_honours_its_wish() {
    let mut host = Host::start().await;
    host.follow("AppRole");
    let proxy = Proxy::start(host.bao.socket()).unwrap();
    let config = at(&mut host, &[proxy.address()]);
    let vault = host.vault(&config);
    let body = json!({"policy": "path \"secret/data/x\" { capabilities = [\"read\"] }"});
    let path = "sys/policies/acl/cofferdam-task-billing";
    host.bao.root("PUT", path, Some(body)).await.unwrap();
    let value = json!({"data": {"token": "12345678-canary"}});
    host.bao
        .root("POST", "secret/data/x", Some(value))
        .await
        .unwrap();
    let secret = cofferdam::vault::path::KvPath::V2 {
        mount: "secret".parse().unwrap(),
        path: "x".parse().unwrap(),
        version: None,
    };
    let session = open(&vault, "a").await;
    let limited =
        proxy.inject(Rule::on("GET", "secret/data/x", Fault::Status(429, Some(1))).times(2));
    let begun = Instant::now();
    session.handle().kv(&secret).await.unwrap();
    assert_eq!(limited.hits(), 2);
    let took = begun.elapsed();
    assert!(
        (Duration::from_secs(2)..Duration::from_secs(4)).contains(&took),
        "{took:?}"
    );

    // For ever: the time for one call bounds it, whatever the server wishes.
    for (status, wish) in [(429, Some(1)), (429, Some(3600)), (503, None), (500, None)] {
        let storm = proxy.inject(Rule::on(
            "GET",
            "secret/data/x",
            Fault::Status(status, wish),
        ));
        let begun = Instant::now();
        let error = session.handle().kv(&secret).await.unwrap_err();
        assert!(matches!(error, VaultError::Overloaded { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!((1..=6).contains(&storm.hits()), "{}", storm.hits());
        drop(storm);
    }
    session.close().await;
    ends(&host, vault).await;
}

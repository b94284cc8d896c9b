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
    for fault in [
        Fault::Status(472, None),
        Fault::Status(473, None),
        Fault::Status(501, None),
        // Of something before the node: without Vault's own words.
        Fault::Status(502, None),
        Fault::Status(503, None),
        Fault::Reset,
        Fault::NeverAnswer,
    ] {
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

/// The health is known and good: the request itself meets the secondary.
#[tokio::test]
async fn a_mint_or_log_in_that_a_node_did_nothing_with_goes_to_the_next() {
    for (path, fault) in [
        ("auth/token/create", Fault::Status(472, None)),
        ("auth/token/create", Fault::Status(473, None)),
        ("auth/approle/login", Fault::Status(501, None)),
        ("auth/approle/login", Fault::Status(473, None)),
    ] {
        let (host, one, two, vault) = two_nodes().await;
        let injected = one.inject(Rule::on("*", path, fault.clone()));
        assert!(open(&vault, "a").await.close().await.complete, "{fault:?}");
        assert_eq!(injected.hits(), 1, "{path} {fault:?}");
        assert!(
            two.passed()
                .iter()
                .any(|passed| passed.target.contains(path))
        );
        ends(&host, vault).await;
    }
}

/// A gateway's word says nothing of what the node did.
#[tokio::test]
async fn a_mint_that_a_gateway_answers_is_not_repeated() {
    let (_host, one, two, vault) = two_nodes().await;
    open(&vault, "a").await.close().await;
    let injected = one.inject(Rule::on(
        "POST",
        "auth/token/create",
        Fault::Status(502, None),
    ));
    let error = refused(&vault, "b").await;
    assert!(matches!(error, VaultError::Overloaded { .. }), "{error}");
    assert_eq!(injected.hits(), 1);
    let minted = |passed: &cofferdam_devkit::proxy::Passed| passed.target.contains("create");
    assert!(!two.passed().iter().any(minted));
    // The first node still says that it is healthy, but for a while the second
    // one is asked before it.
    assert!(open(&vault, "c").await.close().await.complete);
    assert!(two.passed().iter().any(minted));
    assert_eq!(injected.hits(), 1);
    vault.close().await;
}

/// A node that takes no connection: its queue is full, and the kernel drops
/// what else comes, as a firewall does.
#[tokio::test]
async fn a_node_that_takes_no_connection_leaves_time_for_the_next() {
    let mut host = Host::start().await;
    host.follow("AppRole");
    let full = tokio::net::TcpSocket::new_v4().unwrap();
    full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = full.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let queued: Vec<_> = (0..4)
        .filter_map(|_| {
            let wait = Duration::from_millis(200);
            std::net::TcpStream::connect_timeout(&address, wait).ok()
        })
        .collect();
    let wait = Duration::from_millis(200);
    let refused = std::net::TcpStream::connect_timeout(&address, wait);
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    let two = Proxy::start(host.bao.socket()).unwrap();
    let addresses = [format!("http://{address}"), two.address()];
    host.common = format!("addresses = {addresses:?}\ntimeout = \"4s\"\nrequire_healthy = false\n");
    let vault = host.vault(&host.config(APPROLE));
    let begun = Instant::now();
    assert!(open(&vault, "a").await.close().await.complete);
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    ends(&host, vault).await;
    drop(queued);
}

#[tokio::test]
async fn forty_attempts_wait_for_a_silent_log_in_as_long_as_one() {
    let mut host = Host::start().await;
    host.follow("AppRole");
    let proxy = Proxy::start(host.bao.socket()).unwrap();
    host.common = format!("address = {:?}\ntimeout = \"2s\"\n", proxy.address());
    let vault = host.vault(&host.config(APPROLE));
    let silent = proxy.inject(Rule::on("POST", "auth/approle/login", Fault::NeverAnswer));
    let begun = Instant::now();
    let runs: Vec<_> = (0..40).map(|number| format!("run-{number}")).collect();
    let all = runs.iter().map(|run| refused(&vault, run));
    for error in futures_util::future::join_all(all).await {
        assert!(matches!(error, VaultError::Unreachable { .. }), "{error}");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(silent.hits(), 1);
    // Who comes later tries again.
    drop(silent);
    assert!(open(&vault, "later").await.close().await.complete);
    vault.close().await;
}

#[tokio::test]
async fn every_request_says_that_it_is_no_forgery() {
    let (host, one, _, vault) = two_nodes().await;
    open(&vault, "a").await.close().await;
    ends(&host, vault).await;
    let passed = one.passed();
    assert!(
        passed
            .iter()
            .any(|passed| passed.target.contains("sys/health"))
    );
    for passed in passed {
        assert!(passed.is_marked, "{}", passed.target);
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
async fn a_single_node_that_nobody_initialised_says_so() {
    let mut host = Host::start().await;
    host.follow("AppRole");
    let proxy = Proxy::start(host.bao.socket()).unwrap();
    let config = at(&mut host, &[proxy.address()]);
    let body = json!({"initialized": false, "sealed": true}).to_string();
    let new = proxy.inject(Rule::on("GET", "sys/health", Fault::Page(501, body)));
    let vault = host.vault(&config);
    let error = refused(&vault, "a").await;
    assert!(
        matches!(error, VaultError::NotInitialised { .. }),
        "{error}"
    );
    assert_eq!(new.hits(), 1);
    assert_eq!(proxy.passed().len(), 1, "nothing else was asked");
}

/// Too many leases: waiting does not help, and a second question would be one
/// more token.
#[tokio::test]
async fn a_full_quota_of_leases_is_told_at_once() {
    let mut host = Host::start().await;
    host.follow("AppRole");
    let proxy = Proxy::start(host.bao.socket()).unwrap();
    let config = at(&mut host, &[proxy.address()]);
    let vault = host.vault(&config);
    assert!(open(&vault, "a").await.close().await.complete);
    let body =
        json!({"errors": ["request path \"auth/token/create\": lease count quota exceeded"]});
    let full = Fault::Page(429, body.to_string());
    let full = proxy.inject(Rule::on("POST", "auth/token/create", full));
    let begun = Instant::now();
    let error = refused(&vault, "b").await;
    assert!(
        matches!(error, VaultError::Overloaded { status: 429, .. }),
        "{error}"
    );
    assert_eq!(full.hits(), 1);
    assert!(begun.elapsed() < Duration::from_secs(1));
    drop(full);
    ends(&host, vault).await;
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
    // A standby that has not caught up yet.
    let behind = proxy.inject(Rule::on("GET", "secret/data/x", Fault::Status(412, None)).times(1));
    session.handle().kv(&secret).await.unwrap();
    assert_eq!(behind.hits(), 1);
    drop(behind);
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
        // The waits are 100, 200, … 1600 ms, or half of each at the least, which
        // is 3.15 s: a seventh try fits into the 4 s, an eighth never does.
        assert!((1..=7).contains(&storm.hits()), "{}", storm.hits());
        drop(storm);
    }
    session.close().await;
    ends(&host, vault).await;
}

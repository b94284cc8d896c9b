//! Nodes, clocks and certificates.

use std::sync::Arc;
use std::time::Duration;

use cofferdam::config::HostConfig;
use cofferdam::doctor::{Doctor, State};
use cofferdam::secret::Secret;
use cofferdam_devkit::identity::{Authority, Issued};
use cofferdam_devkit::openbao::{DevOptions, OpenBao, Provision};
use cofferdam_devkit::process::free_port;
use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use cofferdam_devkit::world::World;
use jiff::{SignedDuration, Timestamp};

use super::clinic::{clinic, examined, nothing_is_left, reviewed, reviewer};
use crate::common::binary;

/// Points the configuration at these nodes.
fn at(world: &World, addresses: &[String]) {
    let text = format!(
        "[vault]\naddresses = {addresses:?}\n\n[vault.auth.approle]\n\
         role_id_file = \"role-id\"\nsecret_id_file = \"secret-id\"\n"
    );
    world.write("cofferdam.toml", &text).unwrap();
}

#[tokio::test]
async fn a_sealed_second_node() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    let sealed = OpenBao::start_dev(DevOptions::default()).unwrap();
    let (status, _) = sealed.root("PUT", "sys/seal", None).await.unwrap();
    assert_eq!(status, 204);
    at(&world, &[bao.address(), sealed.address()]);
    let found = reviewed(&world);
    assert_eq!(found.ids("fault"), ["node.health"], "{found:#?}");
    let told = found.what("node.health");
    assert!(
        told.contains(&sealed.address()) && told.contains("sealed"),
        "{told}"
    );
    assert_eq!(found.code, 1);

    // A healthy second node in its place.
    let second = Proxy::start(bao.socket()).unwrap();
    at(&world, &[bao.address(), second.address()]);
    reviewed(&world).is_clean();
    nothing_is_left(&world, bao).await;
}

#[tokio::test]
async fn every_other_way_in_which_a_node_does_not_serve() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    let other = OpenBao::start_dev(DevOptions::default()).unwrap();
    let nobody = format!("http://127.0.0.1:{}", free_port().unwrap());
    for (address, words) in [
        (other.address(), "another cluster"),
        (nobody, "connection refused"),
    ] {
        at(&world, &[bao.address(), address]);
        let found = reviewed(&world);
        assert!(found.ids("fault").contains(&"node.health"), "{found:#?}");
        assert!(found.what("node.health").contains(words), "{found:#?}");
        assert_eq!(found.code, 1);
    }
    let proxy = Proxy::start(bao.socket()).unwrap();
    at(&world, &[bao.address(), proxy.address()]);
    for (fault, words) in [
        (Fault::Status(472, None), "status 472"),
        (Fault::Status(503, None), "status 503"),
        (Fault::NeverAnswer, "no answer in time"),
    ] {
        let injected = proxy.inject(Rule::on("GET", "sys/health", fault));
        let found = reviewed(&world);
        assert!(injected.hits() >= 1);
        assert!(found.ids("fault").contains(&"node.health"), "{found:#?}");
        assert!(found.what("node.health").contains(words), "{found:#?}");
    }
    reviewed(&world).is_clean();
    nothing_is_left(&world, bao).await;
}

#[tokio::test]
async fn a_health_that_is_kept_from_us_is_no_fault_when_the_operator_says_so() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    let proxy = Proxy::start(bao.socket()).unwrap();
    at(&world, &[proxy.address()]);
    let hidden = proxy.inject(Rule::on("GET", "sys/health", Fault::Status(404, None)));
    let found = reviewed(&world);
    assert_eq!(found.code, 4, "{found:#?}");
    let text = std::fs::read_to_string(world.path("cofferdam.toml")).unwrap();
    let text = text.replacen("[vault]", "[vault]\nrequire_healthy = false", 1);
    world.write("cofferdam.toml", &text).unwrap();
    let found = reviewed(&world);
    assert!(hidden.hits() >= 2);
    assert_eq!(found.code, 1, "the proxy tells no time: {found:#?}");
    assert_eq!(found.ids("not_proven"), ["node.clock"], "{found:#?}");
    assert!(found.ids("warning").contains(&"node.health"), "{found:#?}");
    assert!(found.ids("ok").contains(&"mint.task"), "{found:#?}");
    drop(hidden);
    reviewed(&world).is_clean();
    nothing_is_left(&world, bao).await;
}

#[tokio::test]
async fn without_any_node_the_exit_code_says_so_and_nothing_reads_ok() {
    let mut world = clinic().await;
    let nobody = format!("http://127.0.0.1:{}", free_port().unwrap());
    at(&world, &[nobody]);
    let found = reviewed(&world);
    assert_eq!(found.code, 4, "{found:#?}");
    assert_eq!(found.report["exit"], 4);
    for id in super::clinic::WIDTH
        .iter()
        .chain(&["login.works", "mint.task", "host.rights"])
    {
        assert!(found.ids("not_proven").contains(id), "{id}: {found:#?}");
        assert!(!found.ids("ok").contains(id), "{id} reads ok");
    }
    // What lies on the machine is looked at all the same.
    assert!(found.ids("ok").contains(&"credential.file"), "{found:#?}");

    let bao = world.take_bao().unwrap();
    let (status, _) = bao.root("PUT", "sys/seal", None).await.unwrap();
    assert_eq!(status, 204);
    at(&world, &[bao.address()]);
    let found = examined(&world, &[]);
    assert_eq!((found.code, found.ids("fault")), (4, vec!["node.health"]));
    assert!(found.what("node.health").contains("sealed"), "{found:#?}");
}

/// The host with another clock, by so many seconds.
async fn with_clock(world: &World, seconds: i64) -> Vec<(String, State)> {
    let file = world.path("cofferdam.toml");
    let config = HostConfig::load(&file).unwrap();
    let token = std::fs::read_to_string(world.path("reviewer-token")).unwrap();
    let report = Doctor::new(config, file)
        .reviewed_with(Secret::new(token))
        .by(Arc::new(move || {
            Timestamp::now() + SignedDuration::from_secs(seconds)
        }))
        .examine()
        .await;
    let checks = report.checks().iter();
    checks
        .filter(|check| check.state != State::Ok && check.id.to_string() != "host.user")
        .map(|check| (check.id.to_string(), check.state))
        .collect()
}

#[tokio::test]
async fn a_clock_that_goes_wrong() {
    let world = clinic().await;
    let skew = |state| vec![("node.clock".to_owned(), state)];
    assert_eq!(with_clock(&world, 0).await, []);
    for (seconds, state) in [
        (7200, State::Fault),
        (-7200, State::Fault),
        (400, State::Fault),
        (60, State::Warning),
        (-60, State::Warning),
    ] {
        assert_eq!(with_clock(&world, seconds).await, skew(state), "{seconds}");
    }
    assert_eq!(with_clock(&world, 0).await, []);
    nothing_is_left(&world, world.bao().unwrap()).await;
}

/// A world whose server is reached by TLS, with the authority that vouches
/// for it in `ca.pem`.
async fn tls() -> (World, OpenBao) {
    let servers = Authority::new("servers").unwrap();
    let server = servers.server(&["vault.example.com"]).unwrap();
    tls_with(&servers, server).await
}

async fn tls_with(servers: &Authority, server: Issued) -> (World, OpenBao) {
    let bao = OpenBao::start_dev(DevOptions {
        tls: Some((server.certificate, server.key)),
        ..DevOptions::default()
    })
    .unwrap();
    let world = World::bare(binary()).unwrap();
    bao.provision(&Provision::default(), world.folder())
        .await
        .unwrap();
    world.write("ca.pem", &servers.pem()).unwrap();
    trusting(&world, &bao, "ca.pem", "vault.example.com");
    let arguments = [
        "policy",
        "--host",
        "--write",
        "--admin-token-file",
        "admin-token",
    ];
    let done = world.command(&arguments).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    reviewer(&world, &bao).await;
    (world, bao)
}

#[tokio::test]
async fn a_certificate_that_is_about_to_end() {
    let servers = Authority::new("servers").unwrap();
    let server = servers.server_for_an_hour(&["vault.example.com"]).unwrap();
    let (world, bao) = tls_with(&servers, server).await;
    let found = reviewed(&world);
    found.is_clean();
    assert!(found.ids("warning").contains(&"node.tls"), "{found:#?}");
    assert!(
        found.what("node.tls").contains("ends in 0 days"),
        "{found:#?}"
    );
    nothing_is_left(&world, &bao).await;
    let (world, _bao) = tls().await;
    assert!(reviewed(&world).ids("ok").contains(&"node.tls"));
}

fn trusting(world: &World, bao: &OpenBao, ca: &str, name: &str) {
    let text = format!(
        "[vault]\naddress = {:?}\nca_file = {ca:?}\ntls_server_name = {name:?}\n\n\
         [vault.auth.approle]\nrole_id_file = \"role-id\"\nsecret_id_file = \"secret-id\"\n",
        bao.tls_address().unwrap()
    );
    world.write("cofferdam.toml", &text).unwrap();
}

#[tokio::test]
async fn the_wrong_ca_and_the_wrong_name_are_told_as_such() {
    let (world, bao) = tls().await;
    let found = reviewed(&world);
    found.is_clean();
    assert!(found.ids("ok").contains(&"node.tls"), "{found:#?}");
    let before = bao.answers().unwrap().len();
    world
        .write("other.pem", &Authority::new("servers").unwrap().pem())
        .unwrap();
    world
        .write("strangers.pem", &Authority::new("strangers").unwrap().pem())
        .unwrap();
    for (ca, name, words) in [
        ("strangers.pem", "vault.example.com", "the wrong CA"),
        // Of the same name, but with another key.
        ("other.pem", "vault.example.com", "the wrong CA"),
        ("ca.pem", "other.example.com", "expected name"),
    ] {
        trusting(&world, &bao, ca, name);
        let found = reviewed(&world);
        assert_eq!(
            found.ids("fault"),
            ["node.health", "node.tls"],
            "{found:#?}"
        );
        assert!(found.what("node.tls").contains(words), "{found:#?}");
        assert_eq!(found.code, 4);
    }
    // A file without a certificate is a fault of the settings.
    world.write("none.pem", "nothing").unwrap();
    trusting(&world, &bao, "none.pem", "vault.example.com");
    reviewed(&world).finds(&["config.vault"]);
    assert_eq!(bao.answers().unwrap().len(), before, "nothing was asked");
    trusting(&world, &bao, "ca.pem", "vault.example.com");
    reviewed(&world).is_clean();
    nothing_is_left(&world, &bao).await;
}

#[tokio::test]
async fn it_ends_in_time_whatever_vault_does() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    let proxy = Proxy::start(bao.socket()).unwrap();
    world.vault_at(&proxy.address()).unwrap();
    for path in [
        "auth/approle/login",
        "auth/token/create",
        "lookup-self",
        "sys/policies",
        "",
    ] {
        let silent = proxy.inject(Rule::on("*", path, Fault::NeverAnswer));
        let begun = std::time::Instant::now();
        let found = examined(
            &world,
            &["--token-file", "reviewer-token", "--timeout", "2s"],
        );
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{path}: {:?}",
            begun.elapsed()
        );
        assert!(silent.hits() >= 1, "{path}");
        assert_ne!(found.code, 0, "{path}: {found:#?}");
        drop(silent);
        // What could not be revoked through the silence is swept.
        let (code, _) = crate::common::sweep(&world);
        assert!(code == 0 || code == 1, "{path}: {code}");
    }
}

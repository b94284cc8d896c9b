//! `cofferdam run --server https://…`: the same as over the socket.

use std::os::unix::fs::PermissionsExt as _;

use cofferdam_devkit::identity::Authority;
use serde_json::json;

use super::super::command::{ends, plain, run};
use super::signer::{Signer, claims, key_set};
use super::site::{CLIENT_CA, SUBJECT, Site, jwt};

/// A site for both kinds of callers, with the files of a good one of each.
async fn site() -> Site {
    let signer = Signer::new("one");
    let ways = format!("{CLIENT_CA}{}", jwt("keys.json"));
    let site = Site::start(&ways, &[("keys.json", &key_set(&[&signer]))]).await;
    site.certificate("worker", &site.worker());
    let token = signer.token(&claims(SUBJECT));
    site.stage
        .world
        .write("token", &format!("{token}\n"))
        .unwrap();
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_looks_as_it_does_over_the_socket() {
    let site = site().await;
    let url = format!("https://{}", site.address);
    let socket = site.stage.socket();
    let socket = ["--server", socket.to_str().unwrap()];
    let remote = ["--server", &url, "--server-ca", "servers.pem"];
    let certificate = [
        "--client-certificate",
        "worker.pem",
        "--client-key",
        "worker.key",
    ];
    let token = ["--token-file", "token"];
    let nobody = ("nobody", json!({}), 2);
    for (task, input, code) in ends().into_iter().chain([nobody]) {
        let over_socket = plain(&run(&site.stage, task, &input, &socket));
        assert_eq!(over_socket.0, code, "{input}: {}", over_socket.2);
        for proof in [certificate.as_slice(), &token] {
            let more: Vec<&str> = remote.iter().chain(proof).copied().collect();
            assert_eq!(plain(&run(&site.stage, task, &input, &more)), over_socket);
        }
    }
    let more: Vec<&str> = remote.iter().chain(&token).copied().collect();
    let health: Vec<&str> = ["health"].iter().chain(&more).copied().collect();
    let health = site.stage.world.command(&health).output().unwrap();
    assert_eq!(health.status.code(), Some(0), "{health:?}");
    assert!(String::from_utf8_lossy(&health.stdout).contains("drain"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_asked_ends_with_a_documented_code_and_a_cure() {
    let site = site().await;
    let world = &site.stage.world;
    let url = format!("https://{}", site.address);
    let url = url.as_str();
    let socket = site.stage.socket();
    let other = Authority::new("other").unwrap();
    world.write("other.pem", &other.pem()).unwrap();
    site.certificate(
        "foreign",
        &other.client_of_uri(super::site::WORKER).unwrap(),
    );
    site.certificate("twins", &site.clients.client("twins").unwrap());
    world.write("bad-token", "no-token-at-all").unwrap();
    let token = std::fs::read_to_string(world.path("token")).unwrap();
    world.write("open-token", &token).unwrap();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(world.path("open-token"), open).unwrap();
    let http = url.replace("https", "http");
    let path = format!("{url}/v1");
    let with = |name: &str| {
        let file = |kind| format!("{name}.{kind}");
        vec![
            "--client-certificate".to_owned(),
            file("pem"),
            "--client-key".to_owned(),
            file("key"),
        ]
    };
    let ca = |more: &[&str]| {
        let ca = ["--server", url, "--server-ca", "servers.pem"];
        ca.iter()
            .chain(more)
            .map(|one| (*one).to_owned())
            .collect::<Vec<_>>()
    };
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|one| (*one).to_owned())
            .collect::<Vec<_>>()
    };
    for (arguments, code, told) in [
        (
            words(&["--server", &http, "--token-file", "token"]),
            2,
            "plain http",
        ),
        (
            words(&["--server", "ftp://x", "--token-file", "token"]),
            2,
            "https://",
        ),
        (
            words(&["--server", &path, "--token-file", "token"]),
            2,
            "HOST:PORT",
        ),
        (
            words(&["--server", url, "--token-file", "token"]),
            2,
            "--server-ca",
        ),
        (
            words(&[
                "--server",
                url,
                "--server-ca",
                "other.pem",
                "--token-file",
                "token",
            ]),
            2,
            "is not trusted",
        ),
        (
            words(&[
                "--server",
                "https://127.0.0.1:1",
                "--server-ca",
                "servers.pem",
            ]),
            4,
            "listen",
        ),
        (
            words(&[
                "--server",
                socket.to_str().unwrap(),
                "--token-file",
                "token",
            ]),
            2,
            "Unix socket",
        ),
        (ca(&["--token-file", "open-token"]), 2, "chmod 600"),
        (ca(&["--token-file", "nowhere"]), 2, "nowhere"),
        (
            ca(&["--token-file", "bad-token"]),
            3,
            "the token is not accepted",
        ),
        (ca(&[]), 3, "Authorization: Bearer"),
        (
            ca(&["--client-certificate", "worker.pem"]),
            2,
            "--client-key",
        ),
        (
            ca(&[
                "--client-certificate",
                "worker.pem",
                "--client-key",
                "twins.key",
            ]),
            2,
            "does not hold the key",
        ),
        (
            [ca(&[]), with("foreign")].concat(),
            3,
            "does not take our certificate",
        ),
        (
            [ca(&[]), with("twins")].concat(),
            3,
            "you may not use this service",
        ),
        ([ca(&[]), with("worker")].concat(), 0, ""),
        (ca(&["--token-file", "token"]), 0, ""),
    ] {
        let more: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let done = run(&site.stage, "hello", &json!({ "name": "Ada" }), &more);
        assert_eq!(done.code, code, "{more:?}: {done:?}");
        assert!(done.stderr.contains(told), "{more:?}: {done:?}");
        for half in token.trim().split('.') {
            assert!(
                !done.stderr.contains(half) && !done.stdout.contains(half),
                "{more:?}"
            );
        }
    }
    assert_eq!(site.callers().len(), 2);
}

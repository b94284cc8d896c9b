//! Where a connection may go.

use std::io;
use std::net::IpAddr;
use std::sync::Mutex;

use async_trait::async_trait;

use super::super::HttpClients;
use super::server::Server;
use super::*;
use crate::capability::bindings::cofferdam::capabilities::http::TransportError;
use crate::capability::network::{ForbiddenOrigin, Resolver};

/// Answers one list after the other, then the last one for ever.
struct Scripted(Mutex<Vec<Vec<&'static str>>>);

#[async_trait]
impl Resolver for Scripted {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if host != "api.example" {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut script = self.0.lock().unwrap();
        let answer = if script.len() > 1 {
            script.remove(0)
        } else {
            script[0].clone()
        };
        Ok(answer.iter().map(|text| text.parse().unwrap()).collect())
    }
}

fn named(
    port: u16,
    script: &[&[&'static str]],
    forbidden: &[&str],
) -> (Arc<Attempt>, tempfile::TempDir) {
    let script = script.iter().map(|answer| answer.to_vec()).collect();
    let forbidden = forbidden
        .iter()
        .map(|address| ForbiddenOrigin::of(&address.parse().unwrap()).unwrap())
        .collect();
    let mut stage = Stage::default().http("api", &bearer(port).replace("127.0.0.1", "api.example"));
    stage.clients =
        HttpClients::new(forbidden).with_resolver(Arc::new(Scripted(Mutex::new(script))));
    let made = stage.attempt();
    made.0
        .credentials()
        .plant(&secret_path(), &[("token", TOKEN)]);
    made
}

#[tokio::test]
async fn a_name_leads_to_its_checked_address() {
    let server = Server::with_body("", b"ok").await;
    let (attempt, _audit) = named(server.port, &[&["127.0.0.1"]], &[]);
    call(&attempt, get("x")).await.unwrap();
    assert!(server.requests()[0].contains(&format!("host: api.example:{}\r\n", server.port)));
}

#[tokio::test]
async fn an_answer_with_one_bad_address_is_refused_whole() {
    let server = Server::with_body("", b"ok").await;
    for bad in [
        "169.254.169.254",
        "10.0.0.1",
        "8.8.8.8",
        "::ffff:169.254.169.254",
        "0.0.0.0",
        "::",
    ] {
        for answer in [["127.0.0.1", bad], [bad, "127.0.0.1"]] {
            let script: Vec<&'static str> = answer.to_vec();
            let (attempt, _audit) = named(server.port, &[&script], &[]);
            assert_eq!(
                denial(call(&attempt, get("x")).await),
                Denial::OutOfScope,
                "{bad}"
            );
        }
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_name_that_changes_its_answer_gains_nothing() {
    let server = Server::with_body("", b"ok").await;
    // The first answer is checked; the second would be a cloud's metadata.
    let (attempt, _audit) = named(server.port, &[&["127.0.0.1"], &["169.254.169.254"]], &[]);
    for _ in 0..3 {
        call(&attempt, get("x")).await.unwrap();
    }
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_name_without_address_is_a_dns_error() {
    let (attempt, _audit) = named(9, &[&[]], &[]);
    let unknown = call(&attempt, get("x")).await;
    assert!(matches!(
        unknown,
        Err(Error::Transport(TransportError::Dns))
    ));
}

#[tokio::test]
async fn vault_is_never_a_destination() {
    let server = Server::with_body("", b"ok").await;
    let port = server.port;
    for vault in [
        format!("http://127.0.0.1:{port}"),
        format!("http://[::1]:{port}"),
        format!("http://127.9.9.9:{port}"),
        format!("https://api.example:{port}"),
        // Nobody knows where this Vault is, so nothing on its port is safe.
        format!("https://vault.example:{port}"),
    ] {
        let (attempt, _audit) = named(port, &[&["127.0.0.1"]], &[&vault]);
        let refused = call(&attempt, get("x")).await;
        assert!(
            matches!(
                refused,
                Err(Error::Denied(_) | Error::Transport(TransportError::Dns))
            ),
            "{vault}"
        );
    }
    assert!(server.requests().is_empty());
    let elsewhere = format!("http://127.0.0.1:{}", port.wrapping_add(1));
    let (attempt, _audit) = named(port, &[&["127.0.0.1"]], &[&elsewhere]);
    call(&attempt, get("x")).await.unwrap();
    assert_eq!(server.requests().len(), 1);
}

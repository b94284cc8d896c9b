//! Servers that are away, sealed or strange.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use cofferdam::diagnostic::{Diagnostic, Exit};
use cofferdam::vault::{ConnectionFault, Vault, VaultError};

use super::world::{World, config, open, refused};

/// A `[vault]` table for whatever listens on this port.
fn at(folder: &std::path::Path, port: u16, lines: &str) -> Vault {
    let token = folder.join("token");
    std::fs::write(&token, "s.canary-token-0123456789").unwrap();
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let text = format!(
        "address = \"http://127.0.0.1:{port}\"\n{lines}\n[auth.token_file]\npath = {token:?}\n"
    );
    Vault::new(config(&text), &folder.join("state")).unwrap()
}

/// Answers every request with these bytes.
fn strange(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

fn shows_no_secret(error: &VaultError) {
    let shown = format!("{error} {error:?} {:?}", error.hint());
    assert!(!shown.contains("canary"), "{shown}");
}

#[tokio::test]
async fn nothing_listens() {
    let folder = tempfile::TempDir::new().unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = refused(&at(folder.path(), port, ""), "one").await;
    assert!(
        matches!(
            error,
            VaultError::Unreachable {
                fault: ConnectionFault::Refused,
                maybe_sent: false,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.exit(), Exit::Unavailable);
    assert!(error.to_string().contains(&port.to_string()));
    shows_no_secret(&error);
}

#[tokio::test]
async fn it_accepts_and_never_answers() {
    let folder = tempfile::TempDir::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let begun = Instant::now();
    let error = refused(&at(folder.path(), port, "timeout = \"1s\""), "one").await;
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert!(
        matches!(
            error,
            VaultError::Unreachable {
                fault: ConnectionFault::TimedOut,
                ..
            }
        ),
        "{error:?}"
    );
    shows_no_secret(&error);
}

#[tokio::test]
async fn strange_answers_are_typed_errors() {
    const CLOSE: &str = "connection: close\r\n";
    let huge = format!("HTTP/1.1 200 OK\r\n{CLOSE}\r\n{}", " ".repeat(5 << 20));
    let long: &'static str = Box::leak(huge.into_boxed_str());
    for (answer, reason) in [
        (
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/canary\r\ncontent-length: 0\r\n\r\n",
            "protocol",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ncanary",
            "protocol",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "protocol"),
        (
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 30\r\n\r\n{\"errors\":[\"Vault is sealed\"]} ",
            "sealed",
        ),
        (
            "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n",
            "overloaded",
        ),
        (
            "HTTP/1.1 500 Internal\r\ncontent-length: 6\r\n\r\ncanary",
            "overloaded",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
            "login_unusable",
        ),
        (
            "HTTP/1.1 418 Teapot\r\ncontent-length: 0\r\n\r\n",
            "protocol",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{",
            "unreachable",
        ),
        ("canary canary canary\r\n\r\n", "unreachable"),
        (long, "too_large"),
    ] {
        let folder = tempfile::TempDir::new().unwrap();
        let error = refused(
            &at(
                folder.path(),
                strange(answer),
                "require_healthy = false\ntimeout = \"2s\"",
            ),
            "one",
        )
        .await;
        assert_eq!(
            error.reason(),
            reason,
            "{}: {error}",
            answer.get(..40).unwrap_or(answer)
        );
        shows_no_secret(&error);
    }
}

#[tokio::test]
async fn sealed_before_and_between() {
    let world = World::start().await;
    let vault = world.vault();
    let session = open(&vault, "one").await;
    world.root("PUT", "sys/seal", None).await;

    let error = refused(&world.vault(), "two").await;
    assert!(matches!(error, VaultError::Sealed { .. }), "{error}");
    assert_eq!(error.exit(), Exit::Unavailable);

    let begun = Instant::now();
    let revocation = session.close().await;
    assert!(!revocation.complete);
    assert_eq!(revocation.reason, Some("sealed"));
    assert!(begun.elapsed() < Duration::from_secs(7), "bounded");
    let login = vault.close().await.expect("a log-in");
    assert!(!login.complete);
    let names: Vec<_> = world.journal();
    assert_eq!(names.len(), 2, "both are remembered: {names:?}");
}

//! https against a server with a certificate of its own.

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::HttpClients;
use super::*;
use crate::capability::bindings::cofferdam::capabilities::http::TransportError;

/// An https server for `localhost`; what it got, and the roots that trust it.
async fn serve(name: &str) -> (u16, tokio::task::JoinHandle<String>, RootCertStore) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed([name.to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config(&cert, &signing_key)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let got = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = acceptor.accept(stream).await else {
            return String::new();
        };
        let mut buffer = [0; 4_096];
        let length = stream.read(&mut buffer).await.unwrap();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(answer).await.unwrap();
        stream.flush().await.unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    });
    (port, got, roots)
}

fn config(cert: &rcgen::Certificate, key: &KeyPair) -> ServerConfig {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap()
}

fn attempt(port: u16, roots: RootCertStore) -> (Arc<Attempt>, tempfile::TempDir) {
    let https = bearer(port).replace("http://127.0.0.1", "https://localhost");
    let mut stage = Stage::default().http("api", &https.replace("plain = true\n", ""));
    stage.clients = HttpClients::new(Vec::new()).with_roots(Arc::new(roots));
    let made = stage.attempt();
    made.0
        .credentials()
        .plant(&secret_path(), &[("token", TOKEN)]);
    made
}

#[tokio::test]
async fn a_trusted_server_gets_the_credential() {
    let (port, got, roots) = serve("localhost").await;
    let (attempt, _audit) = attempt(port, roots);
    let mut response = call(&attempt, get("x")).await.unwrap();
    assert_eq!(read_all(&mut response).await.unwrap(), b"ok");
    assert!(got.await.unwrap().contains(TOKEN));
}

#[tokio::test]
async fn a_server_that_is_not_trusted_gets_nothing() {
    let (port, got, _) = serve("localhost").await;
    let (_, _, of_another) = serve("localhost").await;
    let (attempt, _audit) = attempt(port, of_another);
    let refused = call(&attempt, get("x")).await;
    assert!(matches!(
        refused,
        Err(Error::Transport(TransportError::Tls))
    ));
    assert_eq!(got.await.unwrap(), "");

    let (port, got, roots) = serve("other.example").await;
    let (attempt, _audit) = self::attempt(port, roots);
    let refused = call(&attempt, get("x")).await;
    assert!(matches!(
        refused,
        Err(Error::Transport(TransportError::Tls))
    ));
    assert_eq!(got.await.unwrap(), "");
}

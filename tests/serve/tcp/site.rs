//! A service that listens for TLS, and those who call it.

use std::path::PathBuf;
use std::sync::Arc;

use cofferdam::client::{Access, Certificate, Client, ClientError};
use cofferdam_devkit::identity::{Authority, Issued};
use cofferdam_devkit::world::World;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::stage::Stage;
use super::signer::{AUDIENCE, ISSUER};
use crate::common::{binary, guest};

/// The name of the callers with a certificate.
pub(super) const WORKER: &str = "spiffe://example.org/airflow/worker";
/// The subject of those with a token.
pub(super) const SUBJECT: &str = "system:serviceaccount:airflow:worker";

/// `client_ca` of [`Site`].
pub(super) const CLIENT_CA: &str = "client_ca = \"clients.pem\"\n";

/// A service and the authorities around it.
pub(super) struct Site {
    pub(super) stage: Stage,
    /// Who vouches for the service.
    pub(super) servers: Authority,
    /// Who vouches for callers.
    pub(super) clients: Authority,
    pub(super) address: String,
}

/// `[server.tcp.jwt]` with this key set.
pub(super) fn jwt(jwks: &str) -> String {
    format!(
        "[server.tcp.jwt]\njwks = \"{jwks}\"\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\n"
    )
}

/// Rules for those who are named here, and for the tests' own user.
pub(super) fn rules(ways: &str) -> String {
    let own = rustix::process::geteuid().as_raw();
    let mut text = format!("[[server.allow]]\nusers = [{own}]\ntasks = [\"*\"]\n");
    if ways.contains("client_ca") {
        text += "[[server.allow]]\ncertificates = [\"spiffe://example.org/airflow/*\", \"cn:twin\"]\n\
                 tasks = [\"*\"]\nmetrics = true\n";
    }
    if ways.contains("jwt") {
        text += "[[server.allow]]\nsubjects = [\"system:serviceaccount:airflow:*\", \"cn:twin\"]\n\
                 tasks = [\"*\"]\nmetrics = true\n";
    }
    text
}

/// What `[server.tcp]` has in every test, with these ways to tell callers apart.
pub(super) fn table(ways: &str) -> String {
    format!(
        "[server.tcp]\nlisten = \"127.0.0.1:0\"\ncertificate = \"server.pem\"\nkey = \"server.key\"\n\
         {ways}{}",
        rules(ways)
    )
}

/// A world with the tasks `probe` and `hello`, and the files that the tables name.
pub(super) fn world(servers: &Authority, clients: &Authority) -> World {
    let world = World::bare(binary()).unwrap();
    world.task("probe", &guest("probe"), "").unwrap();
    world.task("hello", &guest("hello"), "").unwrap();
    install(
        &world,
        &servers.server(&["127.0.0.1", "localhost"]).unwrap(),
    );
    world.write("servers.pem", &servers.pem()).unwrap();
    world.write("clients.pem", &clients.pem()).unwrap();
    world
}

/// Writes the service's certificate.
pub(super) fn install(world: &World, issued: &Issued) {
    world.write("server.pem", &issued.certificate).unwrap();
    world.write("server.key", &issued.key).unwrap();
}

impl Site {
    /// A service with these ways to tell callers apart; `files` are written
    /// beforehand.
    pub(super) async fn start(ways: &str, files: &[(&str, &str)]) -> Self {
        let servers = Authority::new("servers").unwrap();
        let clients = Authority::new("clients").unwrap();
        let world = world(&servers, &clients);
        for (name, text) in files {
            world.write(name, text).unwrap();
        }
        let stage = Stage::of(world, &table(ways)).await;
        let address = stage.address().await;
        Self {
            stage,
            servers,
            clients,
            address,
        }
    }

    /// Writes a caller's certificate; its files.
    pub(super) fn certificate(&self, name: &str, issued: &Issued) -> Certificate {
        let world = &self.stage.world;
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        world.write(&certificate, &issued.certificate).unwrap();
        world.write(&key, &issued.key).unwrap();
        Certificate {
            certificate: world.path(&certificate),
            key: world.path(&key),
        }
    }

    /// The good caller's certificate.
    pub(super) fn worker(&self) -> Issued {
        self.clients.client_of_uri(WORKER).unwrap()
    }

    /// A client with these.
    pub(super) fn client(
        &self,
        certificate: Option<Certificate>,
        token: Option<PathBuf>,
    ) -> Result<Client, ClientError> {
        let access = Access {
            ca: Some(self.stage.world.path("servers.pem")),
            certificate,
            token,
        };
        Client::https(&format!("https://{}", self.address), access)
    }

    /// A client with this token.
    pub(super) fn bearer(&self, name: &str, token: &str) -> Client {
        self.stage.world.write(name, token).unwrap();
        let file = self.stage.world.path(name);
        self.client(None, Some(file)).unwrap()
    }

    /// A connection; fails where the handshake does, as far as this side can see.
    pub(super) async fn connect(
        &self,
        certificate: Option<&Issued>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        connect(&self.address, &self.servers.pem(), certificate).await
    }

    /// The same with one version of TLS and one protocol.
    pub(super) async fn connect_as(
        &self,
        certificate: &Issued,
        version: &'static SupportedProtocolVersion,
        protocol: &str,
    ) -> TlsStream<TcpStream> {
        let mut config = settings(&self.servers.pem(), Some(certificate), &[version]);
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        shake_hands(&self.address, config).await.unwrap()
    }

    /// One request over a connection of its own: status, head and body, or how it
    /// broke.
    pub(super) async fn ask(
        &self,
        certificate: Option<&Issued>,
        path: &str,
        headers: &str,
    ) -> Result<(u16, String, Value), String> {
        let stream = self.connect(certificate).await;
        let mut stream = stream.map_err(|error| error.to_string())?;
        ask(
            &mut stream,
            path,
            &format!("connection: close\r\n{headers}"),
        )
        .await
    }

    /// The status of a request with this token.
    pub(super) async fn status(&self, token: &str) -> u16 {
        let header = format!("authorization: Bearer {token}\r\n");
        self.ask(None, "/v1/tasks", &header).await.unwrap().0
    }

    /// Who began the runs, by the audit.
    pub(super) fn callers(&self) -> Vec<Value> {
        let audit = self.stage.world.audit().unwrap();
        let begun = audit
            .into_iter()
            .filter(|line| line["event"] == "run_started");
        begun.map(|line| line["caller"].clone()).collect()
    }
}

/// A connection to an address whose certificate this authority issued.
pub(super) async fn connect(
    address: &str,
    roots: &str,
    certificate: Option<&Issued>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let config = settings(roots, certificate, rustls::DEFAULT_VERSIONS);
    shake_hands(address, config).await
}

fn settings(
    roots: &str,
    certificate: Option<&Issued>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut store = RootCertStore::empty();
    store
        .add(CertificateDer::from_pem_slice(roots.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(store);
    match certificate {
        None => builder.with_no_client_auth(),
        Some(issued) => {
            let chain = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![chain], key).unwrap()
        }
    }
}

async fn shake_hands(address: &str, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// One GET; its answer is read to its announced end.
pub(super) async fn ask(
    stream: &mut TlsStream<TcpStream>,
    path: &str,
    headers: &str,
) -> Result<(u16, String, Value), String> {
    let broken = |error: std::io::Error| error.to_string();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if length.is_some_and(|length| body.len() >= length.parse().unwrap()) {
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                let body = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
                return Ok((status, head.to_owned(), body));
            }
        }
        match stream.read(&mut buffer).await.map_err(broken)? {
            0 => return Err(format!("it ended after {text:?}")),
            read => answer.extend_from_slice(&buffer[..read]),
        }
    }
}

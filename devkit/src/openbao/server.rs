//! The process.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rand::distr::{Alphanumeric, SampleString};
use tempfile::TempDir;

use super::root::Root;
use crate::process::{Guarded, dying_with_us, free_pair, free_port, private_folder, write_private};
use crate::tools;

/// How long the server may take until it answers; 0.1 s is usual.
pub(super) const START_LIMIT: Duration = Duration::from_secs(30);
/// Somebody else may take a free port before the server does.
pub(super) const START_TRIES: u32 = 5;
/// The configuration file in the server's folder, which it starts in.
const CONFIG: &str = "audit.hcl";

/// How a development server starts.
#[derive(Debug, Clone, Default)]
pub struct DevOptions {
    /// The root token; a random one by default.
    pub root_token: Option<String>,
    /// Certificate and key, PEM, of a second listener, with TLS. It asks
    /// clients for a certificate and takes any: `auth/cert` judges it.
    pub tls: Option<(String, String)>,
}

/// A running development server. No `Debug`: it holds the root token.
pub struct OpenBao {
    // First, so that the process is gone before its folder.
    pub(super) process: Guarded,
    pub(super) port: u16,
    pub(super) tls_port: Option<u16>,
    pub(super) root: Root,
    /// None for a development server, which prints its key.
    pub(super) unseal_key: Option<String>,
    pub(super) audit_file: PathBuf,
    pub(super) log_file: PathBuf,
    pub(super) folder: TempDir,
}

impl OpenBao {
    /// Starts a server on 127.0.0.1 and waits until it takes its root token.
    /// It also holds the port after its own, for its cluster protocol.
    pub fn start_dev(options: DevOptions) -> Result<Self> {
        let binary = tools::bao()?;
        let token = options
            .root_token
            .unwrap_or_else(|| Alphanumeric.sample_string(&mut rand::rng(), 32));
        let folder = private_folder("openbao")?;
        let audit_file = folder.path().join("audit.jsonl");
        let log_file = folder.path().join("server.log");
        for _ in 0..START_TRIES {
            let mut config = audit_device(&audit_file);
            let mut tls_port = None;
            if let Some((certificate, key)) = &options.tls {
                write_private(&folder.path().join("tls.pem"), certificate)?;
                write_private(&folder.path().join("tls.key"), key)?;
                let port = *tls_port.insert(free_port()?);
                config.push_str(&tls_listener(port));
            }
            std::fs::write(folder.path().join(CONFIG), config)
                .context("cannot write the server's configuration")?;
            let port = free_pair()?;
            let mut process = spawn(&binary, port, &token, folder.path(), &log_file)?;
            if wait_until_ready(&mut process, port, &token)? {
                return Ok(Self {
                    process,
                    port,
                    tls_port,
                    root: Root::new(format!("http://127.0.0.1:{port}"), token)?,
                    unseal_key: None,
                    audit_file,
                    log_file,
                    folder,
                });
            }
        }
        let log = std::fs::read_to_string(&log_file).unwrap_or_default();
        let end: Vec<&str> = log.lines().rev().take(5).collect();
        bail!(
            "`{}` ended {START_TRIES} times before it answered; its last words, latest first:\n{}",
            binary.display(),
            end.join("\n")
        )
    }

    /// The address, `http://127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The address as a socket's.
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The TLS listener's address, `https://127.0.0.1:PORT`.
    pub fn tls_address(&self) -> Result<String> {
        let port = self.tls_port.context("this server has no TLS listener")?;
        Ok(format!("https://127.0.0.1:{port}"))
    }

    /// The root token.
    pub fn root_token(&self) -> &str {
        self.root.token()
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The server's own audit: one JSON object a line, tokens and accessors as
    /// keyed hashes (`sys/audit-hash/main` makes the same).
    pub fn audit_file(&self) -> &Path {
        &self.audit_file
    }

    /// What the server printed.
    pub fn log_file(&self) -> &Path {
        &self.log_file
    }

    /// Asks as root: `path` without `/v1/`. Gives the status and the JSON
    /// body, which is null when there is none.
    pub async fn root(
        &self,
        method: &str,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Result<(u16, serde_json::Value)> {
        self.root.ask(method, path, body, None).await
    }

    /// Like [`OpenBao::root`], with the answer wrapped for `ttl` (such as
    /// `60s`): the body's `wrap_info.token` unwraps it once.
    pub async fn root_wrapped(
        &self,
        method: &str,
        path: &str,
        body: Option<serde_json::Value>,
        ttl: &str,
    ) -> Result<(u16, serde_json::Value)> {
        self.root.ask(method, path, body, Some(ttl)).await
    }

    /// Kills the server and waits until it is gone; dropping does the same.
    pub fn stop(self) {
        self.process.stop();
    }
}

/// Audit devices cannot be added over the API, only by configuration.
pub(super) fn audit_device(file: &Path) -> String {
    format!(
        "audit \"file\" \"main\" {{\n  options {{\n    file_path = \"{}\"\n  }}\n}}\n",
        file.display()
    )
}

fn tls_listener(port: u16) -> String {
    format!(
        "listener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  \
         tls_cert_file = \"tls.pem\"\n  tls_key_file = \"tls.key\"\n}}\n"
    )
}

fn spawn(binary: &Path, port: u16, token: &str, folder: &Path, log: &Path) -> Result<Guarded> {
    let mut command = dying_with_us(binary);
    command
        .args(["server", "-dev", "-dev-no-store-token"])
        .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
        .arg(format!("-config={CONFIG}"))
        // Not an argument, which every user of the machine could read. The
        // second name is that of HashiCorp's server.
        .env("BAO_DEV_ROOT_TOKEN_ID", token)
        .env("VAULT_DEV_ROOT_TOKEN_ID", token);
    logging_to(command, folder, log)
}

/// Starts the server in its folder, with a fresh log.
pub(super) fn logging_to(mut command: Command, folder: &Path, log: &Path) -> Result<Guarded> {
    let log = File::create(log).context("cannot make the server's log file")?;
    command
        .current_dir(folder)
        .stdin(std::process::Stdio::null())
        .stderr(
            log.try_clone()
                .context("cannot share the server's log file")?,
        )
        .stdout(log);
    Guarded::spawn(command)
}

/// True once the server takes the token; false when the process ended, most
/// often because somebody else has the port.
pub(super) fn wait_until_ready(process: &mut Guarded, port: u16, token: &str) -> Result<bool> {
    let until = Instant::now() + START_LIMIT;
    while Instant::now() < until {
        if process.ended()?.is_some() {
            return Ok(false);
        }
        if takes_token(port, token) {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(10));
    }
    bail!("the server on 127.0.0.1:{port} did not answer within {START_LIMIT:?}")
}

/// Whether the server on `port` is ours: a stranger would refuse our random
/// token. One plain request by hand, since the caller may have no runtime.
fn takes_token(port: u16, token: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(
            stream,
            "GET /v1/auth/token/lookup-self HTTP/1.1\r\nhost: 127.0.0.1\r\n\
             x-vault-token: {token}\r\nconnection: close\r\n\r\n"
        )?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(&status == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{HOST_ROLE, Provision};
    use super::*;

    #[tokio::test]
    async fn a_server_starts_answers_audits_and_stops() {
        let bao = OpenBao::start_dev(DevOptions::default()).unwrap();
        let (status, body) = bao.root("GET", "sys/health", None).await.unwrap();
        assert_eq!(status, 200);
        assert_eq!(body["sealed"], json!(false));
        assert!(bao.log_file().exists());

        let (status, _) = bao.root("GET", "secret/data/none", None).await.unwrap();
        assert_eq!(status, 404);
        let audit = std::fs::read_to_string(bao.audit_file()).unwrap();
        assert!(audit.contains("secret/data/none"));
        assert!(!audit.contains(bao.root_token()));

        let (pid, socket) = (bao.pid(), bao.socket());
        assert!(Path::new(&format!("/proc/{pid}")).exists());
        // Its arguments are readable for everyone; the token is not in them.
        let arguments = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(arguments.contains("server") && !arguments.contains(bao.root_token()));
        bao.stop();
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
        assert!(TcpStream::connect(socket).is_err());
    }

    #[tokio::test]
    async fn provisioned_credentials_log_in() {
        let bao = OpenBao::start_dev(DevOptions {
            root_token: Some("chosen-root-token".to_owned()),
            ..DevOptions::default()
        })
        .unwrap();
        assert_eq!(bao.root_token(), "chosen-root-token");
        let folder = private_folder("provision").unwrap();
        let files = bao
            .provision(
                &Provision {
                    kv2: vec![("billing", json!({"token": "t-1"}))],
                    kv1: vec![("legacy", json!({"password": "p-1"}))],
                    transit: vec![("invoices", "ed25519")],
                },
                folder.path(),
            )
            .await
            .unwrap();

        let read = |file: &Path| std::fs::read_to_string(file).unwrap();
        let body = json!({
            "role_id": read(&files.role_id_file),
            "secret_id": read(&files.secret_id_file),
        });
        let (status, answer) = bao
            .root("POST", "auth/approle/login", Some(body))
            .await
            .unwrap();
        assert_eq!(status, 200, "{HOST_ROLE} logs in");
        assert_eq!(answer["auth"]["policies"], json!(["cofferdam-host"]));

        let (_, secret) = bao.root("GET", "secret/data/billing", None).await.unwrap();
        assert_eq!(secret["data"]["data"]["token"], json!("t-1"));
        let (_, secret) = bao.root("GET", "kv1/legacy", None).await.unwrap();
        assert_eq!(secret["data"]["password"], json!("p-1"));
        let (_, key) = bao
            .root("GET", "transit/keys/invoices", None)
            .await
            .unwrap();
        assert_eq!(key["data"]["type"], json!("ed25519"));

        let (status, wrapped) = bao
            .root_wrapped(
                "POST",
                "auth/approle/role/cofferdam-host/secret-id",
                None,
                "60s",
            )
            .await
            .unwrap();
        assert_eq!(status, 200);
        assert!(wrapped["wrap_info"]["token"].is_string());
    }

    /// Runs in a copy of this test binary, which the test below kills.
    #[test]
    fn victim_of_sigkill() {
        let Some(file) = std::env::var_os("COFFERDAM_DEVKIT_VICTIM") else {
            return;
        };
        let bao = OpenBao::start_dev(DevOptions::default()).unwrap();
        let text = format!("{} {}", bao.pid(), bao.socket());
        write_private(Path::new(&file), &text).unwrap();
        thread::sleep(Duration::from_secs(60));
    }

    #[test]
    fn sigkill_of_the_parent_stops_the_server() {
        let folder = private_folder("victim").unwrap();
        let file = folder.path().join("server");
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "openbao::server::tests::victim_of_sigkill"])
            .env("COFFERDAM_DEVKIT_VICTIM", &file)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + START_LIMIT;
        let socket: SocketAddr = loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if let Some(Ok(socket)) = text.split_once(' ').map(|(_, socket)| socket.parse()) {
                break socket;
            }
            assert!(Instant::now() < until, "the victim did not start");
            thread::sleep(Duration::from_millis(5));
        };
        assert!(TcpStream::connect(socket).is_ok());
        parent.kill().unwrap();
        parent.wait().unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect(socket).is_ok() {
            assert!(Instant::now() < until, "the server outlived its parent");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

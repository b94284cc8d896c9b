//! A server whose storage survives its process: it can be killed and started
//! again, and then knows the tokens that it knew before.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::OpenBao;
use super::root::Root;
use super::server::{START_LIMIT, START_TRIES, audit_device, logging_to, wait_until_ready};
use crate::process::{Guarded, dying_with_us, free_pair, private_folder};
use crate::tools;

/// The configuration file in the server's folder, which it starts in.
const CONFIG: &str = "durable.hcl";

impl OpenBao {
    /// Starts a server with the integrated storage (1.6 s). Like a development
    /// server it has a KV v2 engine at `secret`.
    pub async fn start_durable() -> Result<Self> {
        let folder = private_folder("openbao")?;
        let audit_file = folder.path().join("audit.jsonl");
        let log_file = folder.path().join("server.log");
        std::fs::create_dir(folder.path().join("data")).context("cannot make the storage")?;
        for _ in 0..START_TRIES {
            let port = free_pair()?;
            std::fs::write(folder.path().join(CONFIG), config(port, &audit_file))
                .context("cannot write the server's configuration")?;
            let mut process = start(folder.path(), &log_file)?;
            if !listens(&mut process, port)? {
                continue;
            }
            let address = format!("http://127.0.0.1:{port}");
            let (unseal_key, token) = initialise(&address).await?;
            let mut bao = Self {
                process,
                port,
                tls_port: None,
                root: Root::new(address, token)?,
                unseal_key: Some(unseal_key),
                audit_file,
                log_file,
                folder,
            };
            bao.open().await?;
            let kv2 = json!({"type": "kv", "options": {"version": "2"}});
            let (status, _) = bao.root("POST", "sys/mounts/secret", Some(kv2)).await?;
            ensure!(status == 204, "no KV engine at `secret`: {status}");
            return Ok(bao);
        }
        bail!("a server with storage ended {START_TRIES} times before it answered")
    }

    /// Kills the server and waits until it is gone. A durable one can be
    /// started again.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts a durable server that was killed, at its old address, and
    /// unseals it.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process = start(self.folder.path(), &self.log_file)?;
        ensure!(
            listens(&mut self.process, self.port)?,
            "the server ended when it was started again"
        );
        self.open().await
    }

    /// Unseals, and waits until the server takes its root token.
    async fn open(&mut self) -> Result<()> {
        self.unseal().await?;
        let ready = wait_until_ready(&mut self.process, self.port, self.root.token())?;
        ensure!(ready, "the server ended when it was unsealed");
        Ok(())
    }
}

fn config(port: u16, audit_file: &Path) -> String {
    // A multiplier of 1 makes the only node the leader soonest.
    format!(
        "storage \"raft\" {{\n  path = \"data\"\n  node_id = \"one\"\n  \
         performance_multiplier = \"1\"\n}}\n\
         listener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  \
         cluster_address = \"127.0.0.1:{}\"\n  tls_disable = true\n}}\n\
         api_addr = \"http://127.0.0.1:{port}\"\n\
         cluster_addr = \"https://127.0.0.1:{}\"\n\
         disable_mlock = true\n{}",
        port + 1,
        port + 1,
        audit_device(audit_file)
    )
}

fn start(folder: &Path, log: &Path) -> Result<Guarded> {
    let mut command = dying_with_us(tools::bao()?);
    command.args(["server", &format!("-config={CONFIG}")]);
    logging_to(command, folder, log)
}

/// True once somebody listens; false when the process ended.
fn listens(process: &mut Guarded, port: u16) -> Result<bool> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let until = Instant::now() + START_LIMIT;
    while Instant::now() < until {
        if process.ended()?.is_some() {
            return Ok(false);
        }
        if TcpStream::connect(address).is_ok() {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(10));
    }
    bail!("the server on {address} did not listen within {START_LIMIT:?}")
}

/// Makes the storage; the key that opens it, and the root token.
async fn initialise(address: &str) -> Result<(String, String)> {
    let nobody = Root::new(address.to_owned(), String::new())?;
    let shares = json!({"secret_shares": 1, "secret_threshold": 1});
    let (status, made) = nobody.ask("PUT", "sys/init", Some(shares), None).await?;
    let text = |path: &str| made.pointer(path).and_then(Value::as_str);
    let key = text("/keys_base64/0");
    let (Some(key), Some(token)) = (key, text("/root_token")) else {
        bail!("the storage was not initialised: {status}");
    };
    Ok((key.to_owned(), token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tokens_and_secrets_survive_a_kill_and_a_seal() {
        let mut bao = OpenBao::start_durable().await.unwrap();
        let body = json!({"data": {"token": "t-1"}});
        bao.root("POST", "secret/data/x", Some(body)).await.unwrap();
        let body = json!({"policies": ["some"], "ttl": "60s"});
        bao.root("POST", "auth/token/create", Some(body))
            .await
            .unwrap();
        bao.kill();
        assert!(bao.root("GET", "sys/health", None).await.is_err());
        bao.start_again().await.unwrap();
        let (_, secret) = bao.root("GET", "secret/data/x", None).await.unwrap();
        assert_eq!(secret["data"]["data"]["token"], "t-1");
        assert_eq!(bao.living().await.unwrap().len(), 1);

        bao.seal().await.unwrap();
        let (status, _) = bao.root("GET", "secret/data/x", None).await.unwrap();
        assert_eq!(status, 503);
        bao.unseal().await.unwrap();
        assert_eq!(bao.living().await.unwrap().len(), 1);
    }
}

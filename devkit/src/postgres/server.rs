//! The process.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::distr::{Alphanumeric, SampleString};

use super::cluster::{Cluster, SUPERUSER};
use crate::identity::Issued;
use crate::process::{Guarded, free_port};

/// How long the server may take until it answers; 0.1 s is usual.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a shutdown may take.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Somebody else may take a free port before the server does.
const START_TRIES: u32 = 5;

/// How a cluster is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// The database that is there from the beginning.
    pub database: String,
    /// Certificate and key for connections with TLS. Plain ones stay possible.
    pub tls: Option<Issued>,
    /// Further settings, `name=value`, such as `log_statement=all`.
    pub settings: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            database: Postgres::DATABASE.to_owned(),
            tls: None,
            settings: Vec::new(),
        }
    }
}

/// A running cluster. No `Debug`: it holds the superuser's password.
pub struct Postgres {
    // First, so that the process is gone before its folder.
    process: Option<Guarded>,
    port: u16,
    database: String,
    password: String,
    settings: Vec<String>,
    cluster: Cluster,
}

impl Postgres {
    /// The database that is there from the beginning, unless another is asked for.
    pub const DATABASE: &'static str = "app";
    /// The superuser, as whom Vault's engine connects too.
    pub const SUPERUSER: &'static str = SUPERUSER;

    /// Makes a cluster, starts it on 127.0.0.1 and waits until it answers;
    /// about a second.
    pub fn start(options: Options) -> Result<Self> {
        let password = Alphanumeric.sample_string(&mut rand::rng(), 32);
        let cluster = Cluster::new(&options.database, &password)?;
        let mut settings = options.settings;
        // Nothing here outlives its test.
        settings.extend(["fsync=off".to_owned(), "shared_buffers=16MB".to_owned()]);
        if let Some(tls) = &options.tls {
            let certificate = cluster.write("server.pem", &tls.certificate)?;
            let key = cluster.write("server.key", &tls.key)?;
            settings.extend([
                "ssl=on".to_owned(),
                format!("ssl_cert_file={}", certificate.display()),
                format!("ssl_key_file={}", key.display()),
            ]);
        }
        let mut server = Self {
            process: None,
            port: 0,
            database: options.database,
            password,
            settings,
            cluster,
        };
        for _ in 0..START_TRIES {
            server.port = free_port()?;
            if server.try_start()? {
                return Ok(server);
            }
        }
        bail!("PostgreSQL did not start: {}", server.log()?)
    }

    /// The port on 127.0.0.1; it stays the same over [`Postgres::start_again`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address as a socket's.
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The folder of the Unix socket, as a client's `host`.
    pub fn socket_folder(&self) -> &Path {
        self.cluster.folder()
    }

    /// The database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The superuser's password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// What the server printed.
    pub fn log(&self) -> Result<String> {
        std::fs::read_to_string(self.log_file()).context("cannot read the server's log")
    }

    /// Ends every session and the server, in good order.
    pub fn stop(&mut self) -> Result<()> {
        self.end("INT")
    }

    /// Ends the server at once, in the middle of whatever it does; it recovers
    /// when it starts again.
    pub fn kill(&mut self) -> Result<()> {
        self.end("QUIT")
    }

    /// Starts it again after [`Postgres::stop`] or [`Postgres::kill`], on the
    /// same port, with the same data.
    pub fn start_again(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "it runs already");
        ensure!(
            self.try_start()?,
            "PostgreSQL did not start again: {}",
            self.log()?
        );
        Ok(())
    }

    fn end(&mut self, signal: &str) -> Result<()> {
        let mut process = self.process.take().context("it does not run")?;
        signalled(&process, signal)?;
        let until = Instant::now() + STOP_LIMIT;
        while process.ended()?.is_none() {
            ensure!(Instant::now() < until, "PostgreSQL does not stop");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// True once it answers; false when it ended.
    fn try_start(&mut self) -> Result<bool> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .context("cannot make the server's log file")?;
        let mut command = self.cluster.command("postgres");
        command
            .arg("-D")
            .arg(self.cluster.data())
            .args(["-c", "listen_addresses=127.0.0.1", "-c"])
            .arg(format!("port={}", self.port))
            .arg("-c")
            .arg(format!(
                "unix_socket_directories={}",
                self.cluster.folder().display()
            ));
        for setting in &self.settings {
            command.arg("-c").arg(setting);
        }
        let errors = log.try_clone().context("cannot share the log file")?;
        command.stdout(log).stderr(errors);
        let mut process = Guarded::spawn(command)?;
        let until = Instant::now() + START_LIMIT;
        while Instant::now() < until {
            if process.ended()?.is_some() {
                return Ok(false);
            }
            if self.is_ready()? {
                self.process = Some(process);
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("PostgreSQL did not answer within {START_LIMIT:?}")
    }

    /// Asked at the Unix socket, which lies in a folder of ours: a stranger
    /// may have the port.
    fn is_ready(&self) -> Result<bool> {
        let status = self
            .cluster
            .command("pg_isready")
            .arg("--quiet")
            .arg(format!("--host={}", self.cluster.folder().display()))
            .arg(format!("--port={}", self.port))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("cannot run `pg_isready`")?;
        Ok(status.success())
    }

    fn log_file(&self) -> PathBuf {
        self.cluster.folder().join("server.log")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.process.is_some() {
            // A kill would leave a piece of shared memory behind.
            let _ = self.kill();
        }
    }
}

fn signalled(process: &Guarded, signal: &str) -> Result<()> {
    let status = Command::new("kill")
        .args(["-s", signal, &process.id().to_string()])
        .status()
        .context("cannot run `kill`")?;
    ensure!(status.success(), "PostgreSQL cannot be signalled");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;
    use crate::identity::Authority;
    use crate::process::{private_folder, write_private};

    #[tokio::test]
    async fn a_cluster_starts_answers_stops_and_comes_back() {
        let mut postgres = Postgres::start(Options::default()).unwrap();
        let answer = postgres.ask("SELECT 1, NULL").await.unwrap();
        assert_eq!(answer, [[Some("1".to_owned()), None]]);
        postgres
            .ask("CREATE TABLE kept (n int); CREATE ROLE \"v-x\" LOGIN")
            .await
            .unwrap();
        assert_eq!(postgres.made_users().await.unwrap(), ["v-x"]);
        assert!(postgres.sessions_of("v-x").await.unwrap().is_empty());

        for end in [Postgres::stop, Postgres::kill] {
            end(&mut postgres).unwrap();
            assert!(TcpStream::connect(postgres.socket()).is_err());
            assert!(postgres.ask("SELECT 1").await.is_err());
            postgres.start_again().unwrap();
            let kept = postgres.ask("SELECT count(*) FROM kept").await.unwrap();
            assert_eq!(kept, [[Some("0".to_owned())]]);
        }
    }

    #[tokio::test]
    async fn passwords_are_scram_and_tls_is_offered() {
        let authority = Authority::new("devkit").unwrap();
        let tls = Some(authority.server(&["127.0.0.1"]).unwrap());
        let postgres = Postgres::start(Options {
            tls,
            ..Options::default()
        })
        .unwrap();
        let rules = "SELECT DISTINCT auth_method FROM pg_hba_file_rules";
        let methods = postgres.ask(rules).await.unwrap();
        assert_eq!(methods, [[Some("scram-sha-256".to_owned())]]);
        let on = postgres.ask("SHOW ssl").await.unwrap();
        assert_eq!(on, [[Some("on".to_owned())]]);
    }

    /// Runs in a copy of this test binary, which the test below kills.
    #[test]
    fn victim_of_sigkill() {
        let Some(file) = std::env::var_os("COFFERDAM_DEVKIT_VICTIM") else {
            return;
        };
        let postgres = Postgres::start(Options::default()).unwrap();
        write_private(Path::new(&file), &postgres.socket().to_string()).unwrap();
        thread::sleep(Duration::from_secs(60));
    }

    #[test]
    fn sigkill_of_the_parent_stops_the_server() {
        let folder = private_folder("victim").unwrap();
        let file = folder.path().join("server");
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "postgres::server::tests::victim_of_sigkill"])
            .env("COFFERDAM_DEVKIT_VICTIM", &file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + START_LIMIT;
        let socket: SocketAddr = loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if let Ok(socket) = text.parse() {
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

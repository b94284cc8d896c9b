//! Its processes.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::distr::{Alphanumeric, SampleString};
use serde_json::json;

use super::Api;
use super::api::field;
use crate::process::{Guarded, dying_with_us, dying_with_us_as, free_port, write_private};
use crate::tools;

/// How long all of it may take until it is healthy; 15 s is usual.
const START_LIMIT: Duration = Duration::from_secs(120);

/// How long one process may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who may use the API and the pages.
const USER: &str = "admin";

/// How an Airflow starts.
pub struct Options {
    /// The folder of everything that it writes; made anew.
    pub home: PathBuf,
    /// The user and group of its processes; ours when there is none.
    pub user: Option<u32>,
    /// What its processes have in their environment beside what they need:
    /// connections (`AIRFLOW_CONN_…`) and settings (`AIRFLOW__…`).
    pub environment: Vec<(String, String)>,
    /// How many tasks run at once.
    pub parallelism: u32,
}

/// One of its processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The API, the pages, and what tasks talk to.
    ApiServer,
    /// Starts tasks, with the LocalExecutor inside.
    Scheduler,
    /// Reads the DAG files.
    DagProcessor,
    /// Waits for deferred tasks.
    Triggerer,
}

impl Part {
    const ALL: [Self; 4] = [
        Self::ApiServer,
        Self::Scheduler,
        Self::DagProcessor,
        Self::Triggerer,
    ];

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::ApiServer => &["api-server"],
            // Their log servers would listen on every address.
            Self::Scheduler => &["scheduler", "--skip-serve-logs"],
            Self::DagProcessor => &["dag-processor"],
            Self::Triggerer => &["triggerer", "--skip-serve-logs"],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::ApiServer => "api-server",
            Self::Scheduler => "scheduler",
            Self::DagProcessor => "dag-processor",
            Self::Triggerer => "triggerer",
        }
    }

    /// As `/api/v2/monitor/health` calls it; the api-server is who answers.
    fn in_health(self) -> Option<&'static str> {
        match self {
            Self::ApiServer => None,
            Self::Scheduler => Some("scheduler"),
            Self::DagProcessor => Some("dag_processor"),
            Self::Triggerer => Some("triggerer"),
        }
    }
}

/// A running Airflow.
pub struct Airflow {
    // First, so that the processes are gone before anything else.
    processes: Vec<(Part, Guarded)>,
    options: Options,
    python: PathBuf,
    port: u16,
    secret: String,
    password: String,
    api: Api,
}

impl Airflow {
    /// Installs what is missing, makes the database and starts everything. DAG
    /// files belong into [`Airflow::dags`].
    pub async fn start(options: Options) -> Result<Self> {
        let python = tools::airflow()?;
        let (port, home) = (free_port()?, options.home.clone());
        if home.exists() {
            fs::remove_dir_all(&home).context("cannot clear Airflow's folder")?;
        }
        for part in ["", "dags", "logs", "site"] {
            let folder = home.join(part);
            fs::create_dir_all(&folder).context("cannot make Airflow's folder")?;
            // What it holds is its own; our DAGs and our provider are not secret.
            let mode = if part.is_empty() { 0o711 } else { 0o755 };
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode))?;
        }
        tools::install_provider(&python, &home.join("site"))?;
        let random = || Alphanumeric.sample_string(&mut rand::rng(), 32);
        let (secret, password) = (random(), random());
        let passwords = home.join("passwords.json");
        write_private(&passwords, &json!({ USER: password }).to_string())?;
        if let Some(user) = options.user {
            for part in ["", "dags", "logs", "site", "passwords.json"] {
                chown(home.join(part), Some(user), Some(user))?;
            }
        }
        let mut airflow = Self {
            processes: Vec::new(),
            api: Api::new(port),
            options,
            python,
            port,
            secret,
            password,
        };
        let migrated = airflow.command(&["db", "migrate"]).output()?;
        ensure!(
            migrated.status.success(),
            "`airflow db migrate` failed:\n{}{}",
            String::from_utf8_lossy(&migrated.stdout),
            String::from_utf8_lossy(&migrated.stderr)
        );
        for part in Part::ALL {
            airflow.begin(part)?;
        }
        airflow.healthy().await?;
        let (user, password) = (USER, airflow.password.clone());
        airflow.api.log_in(user, &password).await?;
        Ok(airflow)
    }

    /// The folder whose DAG files it reads.
    pub fn dags(&self) -> PathBuf {
        self.options.home.join("dags")
    }

    /// Everything that it writes.
    pub fn home(&self) -> &Path {
        &self.options.home
    }

    /// Its API, as its administrator.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Where its pages are.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Name and password for its pages.
    pub fn log_in(&self) -> (&'static str, &str) {
        (USER, &self.password)
    }

    /// Starts one of its processes.
    pub fn begin(&mut self, part: Part) -> Result<()> {
        ensure!(
            self.processes.iter().all(|(other, _)| *other != part),
            "the {} is up",
            part.name()
        );
        let log = self.options.home.join(format!("{}.log", part.name()));
        let file = File::options().create(true).append(true).open(&log);
        let file = file.with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = self.command(part.arguments());
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        self.processes.push((part, Guarded::spawn(command)?));
        Ok(())
    }

    /// SIGTERM to one of its processes, and its end.
    pub fn end(&mut self, part: Part) -> Result<()> {
        let at = self.processes.iter().position(|(other, _)| *other == part);
        let (_, process) = self.processes.remove(at.context("it is not up")?);
        process.end(PATIENCE);
        Ok(())
    }

    /// The same for all of them. The value stays, and its folder.
    pub fn stop(&mut self) {
        // What was started last may need what was started first.
        while let Some((_, process)) = self.processes.pop() {
            process.end(PATIENCE);
        }
    }

    /// Waits until every process that is up says that it does well.
    pub async fn healthy(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let health = self.api.health().await;
            let is_well = |part: &Part| {
                part.in_health().is_none_or(|name| {
                    (health.as_ref()).is_ok_and(|it| field(field(it, name), "status") == "healthy")
                })
            };
            if health.is_ok() && self.processes.iter().all(|(part, _)| is_well(part)) {
                return Ok(());
            }
            for (part, process) in &mut self.processes {
                if let Some(status) = process.ended()? {
                    let log = self.options.home.join(format!("{}.log", part.name()));
                    let said = fs::read_to_string(log).unwrap_or_default();
                    bail!("the {} ended ({status}):\n{said}", part.name());
                }
            }
            ensure!(
                begun.elapsed() < START_LIMIT,
                "Airflow is not healthy: {health:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// `airflow` with these arguments, in this installation.
    pub fn command(&self, arguments: &[&str]) -> Command {
        // The leader of a group of its own: the executor's workers outlive a scheduler
        // that is killed, and are found by it.
        let mut command = match self.options.user {
            Some(user) => dying_with_us_as(user, "setsid"),
            None => dying_with_us("setsid"),
        };
        command.arg(self.python.join("airflow"));
        let home = self.options.home.to_string_lossy().into_owned();
        let (address, path) = (self.address(), self.python.to_string_lossy().into_owned());
        command
            .args(arguments)
            .current_dir(&self.options.home)
            .env_clear()
            .env("HOME", &home)
            .env("LANG", "C.UTF-8")
            // The machine has no name for a number that it never gave away.
            .env("USER", "airflow")
            .env("PATH", format!("{path}:/usr/local/bin:/usr/bin:/bin"))
            .env("PYTHONPATH", format!("{home}/site"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("AIRFLOW_HOME", &home);
        let settings = [
            ("CORE__EXECUTOR", "LocalExecutor".to_owned()),
            ("CORE__LOAD_EXAMPLES", "False".to_owned()),
            ("CORE__PARALLELISM", self.options.parallelism.to_string()),
            ("CORE__MAX_ACTIVE_TASKS_PER_DAG", "64".to_owned()),
            ("CORE__DAGS_ARE_PAUSED_AT_CREATION", "False".to_owned()),
            ("CORE__FERNET_KEY", String::new()),
            (
                "CORE__EXECUTION_API_SERVER_URL",
                format!("{address}/execution/"),
            ),
            ("CORE__SIMPLE_AUTH_MANAGER_USERS", format!("{USER}:admin")),
            (
                "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
                format!("{home}/passwords.json"),
            ),
            (
                "DATABASE__SQL_ALCHEMY_CONN",
                format!("sqlite:///{home}/airflow.db"),
            ),
            ("API__HOST", "127.0.0.1".to_owned()),
            ("API__PORT", self.port.to_string()),
            ("API__WORKERS", "1".to_owned()),
            ("API__BASE_URL", address),
            ("API_AUTH__JWT_SECRET", self.secret.clone()),
            ("API__SECRET_KEY", self.secret.clone()),
            // New DAG files are seen at once, and changed ones soon.
            ("DAG_PROCESSOR__REFRESH_INTERVAL", "2".to_owned()),
            ("DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL", "5".to_owned()),
            // A kill by a user reaches the task with its next heartbeat.
            ("WORKERS__MIN_HEARTBEAT_INTERVAL", "1".to_owned()),
        ];
        for (name, value) in settings {
            command.env(format!("AIRFLOW__{name}"), value);
        }
        command.envs(self.options.environment.iter().cloned());
        command
    }
}

impl Drop for Airflow {
    fn drop(&mut self) {
        self.stop();
    }
}

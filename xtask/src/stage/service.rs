//! `cofferdam serve` on the stage, under a user of its own.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cofferdam_devkit::process::{Guarded, write_private};

use super::users::{User, hand_over, is_root, open};
use super::{Finished, Stage};
use crate::chores::binary;

/// The service's socket, seen from the folder of the stage.
pub(crate) const SOCKET: &str = "run/cofferdam.sock";

/// How long the service may take to start and to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running service.
pub(crate) struct Service {
    process: Guarded,
    log: PathBuf,
}

impl Stage {
    /// Hands the installation over to the host's user, and lets the caller in.
    /// What Vault's administrator needs stays with us.
    pub(crate) fn hand_over(&mut self) -> Result<()> {
        let folder = &self.folder;
        let rules = match is_root() {
            true => format!(
                "\n[[server.allow]]\nusers = [{}]\ntasks = [\"*\"]\n",
                User::Caller.id()
            ),
            // Only the service's own user, who is us.
            false => String::new(),
        };
        OpenOptions::new()
            .append(true)
            .open(folder.join("cofferdam.toml"))
            .and_then(|mut file| write!(file, "\n[server]\nsocket = \"{SOCKET}\"\n{rules}"))
            .context("cannot write cofferdam.toml")?;
        // Other users may not be able to reach it where it was built.
        let program = folder.join("bin/cofferdam");
        open(&folder.join("bin"))?;
        std::fs::copy(binary("cofferdam"), &program).context("cannot copy the binary")?;
        open(&folder.join("run"))?;
        write_private(&folder.join("serve.log"), "")?;
        let files = [
            "cofferdam.toml",
            "serve.log",
            "vault/role-id",
            "vault/secret-id",
        ];
        for part in ["", "run", "grants", "components", "vault"]
            .iter()
            .chain(&files)
        {
            self.give(part)?;
        }
        for template in self.examples() {
            self.give(&template.component())?;
            self.give(&format!("grants/{}.toml", template.task()))?;
        }
        for part in ["", "inputs"] {
            open(&folder.join(part))?;
        }
        self.program = program;
        self.has_users = true;
        Ok(())
    }

    /// Gives a part of the stage to the host's user.
    pub(crate) fn give(&self, part: &str) -> Result<()> {
        hand_over(&self.folder.join(part))
    }

    /// Starts the service, with its log at its most talkative.
    pub(crate) fn serve(&self) -> Result<Service> {
        let log = self.folder.join("serve.log");
        let file = OpenOptions::new().append(true).open(&log);
        let file = file.context("cannot open the service's log")?;
        let mut command = self.command(User::Host);
        command
            .args(["--log-level", "trace", "serve"])
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("cannot share the service's log")?)
            .stderr(file);
        let mut process = Guarded::spawn(command)?;
        let begun = Instant::now();
        while self.call(&["health", "--server", SOCKET])?.code != Some(0) {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            ensure!(process.ended()?.is_none(), "the service ended:\n{said}");
            ensure!(begun.elapsed() < PATIENCE, "it does not start:\n{said}");
            thread::sleep(Duration::from_millis(50));
        }
        Ok(Service { process, log })
    }

    /// Runs `cofferdam` as the caller, to its end.
    pub(crate) fn call(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = self.command(User::Caller);
        command.args(arguments);
        Finished::of(command)
    }

    /// Whether this user can read a file of the stage.
    pub(crate) fn can_read(&self, user: User, file: &str) -> Result<bool> {
        let mut command = user.command(Path::new("cat"));
        command
            .arg(file)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(command.status().context("cannot start `cat`")?.success())
    }
}

impl Service {
    /// What the service printed so far.
    pub(crate) fn log(&self) -> Result<String> {
        std::fs::read_to_string(&self.log).context("cannot read the service's log")
    }

    /// SIGTERM, and its end, which must be a good one.
    pub(crate) fn end(mut self) -> Result<()> {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        ensure!(sent.is_ok_and(|it| it.success()), "no signal was sent");
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.process.ended()? {
                ensure!(status.success(), "the service: {status}\n{}", self.log()?);
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("the service does not end:\n{}", self.log()?)
    }
}

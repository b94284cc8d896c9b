//! The folder and what stands around it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::Run;
use super::compiled::Compiled;
use crate::openbao::{DevOptions, OpenBao, Provision};
use crate::process::{private_folder, write_private};

/// The dag_id that every grants file of a world admits.
pub const DAG: &str = "tests";

/// An installation. Dropping it stops its server and removes its folder.
pub struct World {
    folder: TempDir,
    binary: PathBuf,
    bao: Option<OpenBao>,
    compiled: Compiled,
    /// Nothing that an earlier world compiled is used.
    is_cold: bool,
}

impl Drop for World {
    fn drop(&mut self) {
        if !self.is_cold {
            // It costs the next world its time.
            let _ = self.compiled.keep(self.folder.path());
        }
    }
}

impl World {
    /// An installation without Vault.
    pub fn bare(binary: &Path) -> Result<Self> {
        let world = Self {
            folder: private_folder("world")?,
            binary: binary.to_owned(),
            bao: None,
            compiled: Compiled::open()?,
            is_cold: false,
        };
        world.write("cofferdam.toml", "[paths]\n")?;
        fs::create_dir(world.path("grants"))?;
        Ok(world)
    }

    /// An installation with an OpenBao of its own, provisioned, with the host's
    /// policy and token role in place; the host logs in by AppRole.
    pub async fn with_vault(binary: &Path, what: &Provision<'_>) -> Result<Self> {
        Self::with_bao(binary, what, OpenBao::start_dev(DevOptions::default())?).await
    }

    /// [`World::with_vault`] with a fresh server of the caller's choice.
    pub async fn with_bao(binary: &Path, what: &Provision<'_>, bao: OpenBao) -> Result<Self> {
        let mut world = Self::bare(binary)?;
        bao.provision(what, world.folder()).await?;
        world.vault_at(&bao.address())?;
        world.bao = Some(bao);
        world.must(&[
            "policy",
            "--host",
            "--write",
            "--admin-token-file",
            "admin-token",
        ])?;
        Ok(world)
    }

    /// Points the configuration at this address, such as a proxy's.
    pub fn vault_at(&self, address: &str) -> Result<()> {
        self.write(
            "cofferdam.toml",
            &format!(
                "[vault]\naddress = \"{address}\"\n\n[vault.auth.approle]\n\
                 role_id_file = \"role-id\"\nsecret_id_file = \"secret-id\"\n"
            ),
        )
    }

    /// The folder of `cofferdam.toml`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The binary under test.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The server.
    pub fn bao(&self) -> Result<&OpenBao> {
        self.bao.as_ref().context("this world has no OpenBao")
    }

    /// The server, to kill it and start it again.
    pub fn bao_mut(&mut self) -> Result<&mut OpenBao> {
        self.bao.as_mut().context("this world has no OpenBao")
    }

    /// Takes the server out, to stop it in mid-run.
    pub fn take_bao(&mut self) -> Result<OpenBao> {
        self.bao.take().context("this world has no OpenBao")
    }

    /// Writes a file that only its owner may touch.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        write_private(&self.path(name), text)
    }

    /// Compiles everything anew, and has no folder yet that the host makes: to be called
    /// before the first task is installed.
    #[must_use]
    pub fn cold(mut self) -> Self {
        self.is_cold = true;
        self
    }

    /// Installs a task: the component's digest is pinned, `grants` is what
    /// follows `[caller]` in the grants file.
    pub fn task(&self, name: &str, component: &Path, grants: &str) -> Result<()> {
        let bytes = fs::read(component).with_context(|| {
            format!(
                "cannot read `{}`; `cargo xtask guests` builds it",
                component.display()
            )
        })?;
        let digest: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if !self.is_cold {
            self.compiled.lend(self.folder(), &digest)?;
        }
        let text = format!(
            "task = \"{name}\"\ncomponent = \"{}\"\ndigest = \"sha256:{digest}\"\n\n\
             [caller]\ndags = [\"{DAG}\"]\nidentity = \"claimed\"\n\n{grants}\n",
            component.display()
        );
        self.write(&format!("grants/{name}.toml"), &text)
    }

    /// Writes the task's policy into Vault, with our own command.
    pub fn policy(&self, task: &str) -> Result<()> {
        self.must(&[
            "policy",
            task,
            "--write",
            "--admin-token-file",
            "admin-token",
        ])
    }

    /// Gives Vault the roles that our own command writes for the databases of a
    /// task, under what the engine calls its connection.
    pub async fn database_roles(&self, task: &str, connection: &str) -> Result<()> {
        let mut command = self.command(&["--format", "json", "policy", task, "--database"]);
        command.args(["--connection", connection]);
        let finished = super::Finished::of(command.output()?)?;
        ensure!(finished.code == 0, "no roles: {}", finished.stderr);
        self.bao()?.take_database_roles(&finished.report()?).await
    }

    /// The audit's lines of all runs, the oldest run first: a file's name begins
    /// with the time at which its chain was started.
    pub fn audit(&self) -> Result<Vec<Value>> {
        let mut files = fs::read_dir(self.path("audit"))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>>>()?;
        files.sort();
        let mut lines = Vec::new();
        for file in files {
            for line in fs::read_to_string(file)?.lines() {
                lines.push(serde_json::from_str(line)?);
            }
        }
        Ok(lines)
    }

    /// How many runs began, by the word of the audit.
    pub fn begun(&self) -> Result<usize> {
        let audit = self.audit()?;
        let begun = audit.iter().filter(|line| line["event"] == "run_started");
        Ok(begun.count())
    }

    /// A run of this task, not yet started.
    pub fn run(&self, task: &str) -> Run<'_> {
        Run::new(self, task)
    }

    /// The binary with these arguments, in this folder, with an empty environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .current_dir(self.folder())
            .env_clear()
            .env("RUST_BACKTRACE", "1");
        command
    }

    fn must(&self, arguments: &[&str]) -> Result<()> {
        let output = self
            .command(arguments)
            .output()
            .context("cannot start the binary")?;
        ensure!(
            output.status.success(),
            "`cofferdam {}` failed:\n{}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

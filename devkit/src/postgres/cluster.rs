//! The cluster's folder, and the user that it belongs to.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::process::{dying_of, private_folder, write_private};
use crate::tools;

/// The user that runs PostgreSQL when we are root; Debian's package makes it.
const USER: &str = "postgres";

/// The superuser of the cluster.
pub(super) const SUPERUSER: &str = "postgres";

/// A cluster on disk.
pub(super) struct Cluster {
    programs: PathBuf,
    folder: TempDir,
    /// User and group to run as; none when we run as ourselves.
    owner: Option<(u32, u32)>,
}

impl Cluster {
    /// Makes one with a database, and the password of its superuser.
    pub(super) fn new(database: &str, password: &str) -> Result<Self> {
        let cluster = Self {
            programs: tools::postgres()?,
            folder: private_folder("postgres")?,
            owner: owner()?,
        };
        cluster.give(cluster.folder.path())?;
        let file = cluster.write("password", password)?;
        let mut init = cluster.command("initdb");
        init.arg("--pgdata")
            .arg(cluster.data())
            .arg("--pwfile")
            .arg(&file)
            .args(["--username", SUPERUSER])
            .args(["--auth-host=scram-sha-256", "--auth-local=scram-sha-256"])
            .args(["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]);
        done(init, None)?;
        std::fs::remove_file(file).context("cannot remove the password file")?;
        // Without a server, so without a log-in.
        let mut single = cluster.command("postgres");
        single
            .args(["--single", "-c", "fsync=off", "-D"])
            .arg(cluster.data())
            .arg("postgres");
        done(single, Some(&format!("CREATE DATABASE {database}\n")))?;
        Ok(cluster)
    }

    /// The folder, in which the Unix socket lies too.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A file in the folder that only PostgreSQL's user can read.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        write_private(&path, text)?;
        self.give(&path)?;
        Ok(path)
    }

    /// One of PostgreSQL's programs, run as the cluster's user. An immediate
    /// shutdown is what it dies of, so that it removes its shared memory.
    pub(super) fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match self.owner {
            None => dying_of("QUIT", &[] as &[&OsStr]),
            Some((user, group)) => dying_of(
                "QUIT",
                &[
                    format!("--reuid={user}"),
                    format!("--regid={group}"),
                    "--clear-groups".to_owned(),
                ],
            ),
        };
        command
            .arg(program)
            .current_dir(self.folder.path())
            .env_clear()
            .stdin(Stdio::null());
        command
    }

    fn give(&self, path: &Path) -> Result<()> {
        match self.owner {
            None => Ok(()),
            Some((user, group)) => chown(path, Some(user), Some(group))
                .with_context(|| format!("cannot give {} away", path.display())),
        }
    }
}

/// Runs a program to its end.
fn done(mut command: Command, input: Option<&str>) -> Result<()> {
    use std::io::Write;
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start one of PostgreSQL's programs")?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        stdin
            .write_all(input.as_bytes())
            .context("PostgreSQL takes no input")?;
    }
    let output = child.wait_with_output().context("cannot wait")?;
    if !output.status.success() {
        bail!(
            "{:?} failed: {}",
            command.get_args().collect::<Vec<_>>(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

fn owner() -> Result<Option<(u32, u32)>> {
    let me = std::fs::metadata("/proc/self").context("cannot ask who we are")?;
    if me.uid() != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let mut users = users.lines().map(|line| line.split(':'));
    let numbers = users.find_map(|mut fields| {
        (fields.next() == Some(USER)).then_some(())?;
        let mut numbers = fields.skip(1).map_while(|field| field.parse().ok());
        Some((numbers.next()?, numbers.next()?))
    });
    let numbers = numbers.with_context(|| {
        format!("PostgreSQL does not run as root, and there is no user `{USER}`")
    })?;
    Ok(Some(numbers))
}

//! Programs that PyPI has, each in a private Python environment of its own in
//! the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::cache;

/// A program and what it takes to have it.
pub(super) struct FromPypi<'a> {
    /// The environment's folder; a version in it makes a new one on a change.
    pub(super) folder: &'a str,
    /// What is installed, with pinned versions.
    pub(super) packages: &'a [&'a str],
    /// The program, in the environment's `bin`.
    pub(super) program: &'a str,
    /// The interpreter.
    pub(super) python: &'a str,
}

/// The interpreter of whoever types the command.
pub(super) const PYTHON: &str = "python3";

impl FromPypi<'_> {
    /// The program, when its installation was finished: the marker comes last.
    pub(super) fn at_hand(&self) -> Result<Option<PathBuf>> {
        Ok(self.in_folder(&cache::folder(self.folder)?))
    }

    /// The program, installed now if need be.
    pub(super) fn get(&self) -> Result<PathBuf> {
        let folder = cache::folder(self.folder)?;
        let _lock = cache::lock(&folder)?;
        if let Some(program) = self.in_folder(&folder) {
            return Ok(program);
        }
        step(
            Command::new(self.python).args(["-m", "venv"]).arg(&folder),
            "cannot make a Python environment: install python3 with its venv module \
             (Debian: `apt-get install python3-venv`)",
        )?;
        let mut install = Command::new(folder.join("bin/python3"));
        install
            .args(["-m", "pip", "install", "--quiet"])
            .arg("--disable-pip-version-check")
            .args(self.packages);
        step(
            &mut install,
            &format!(
                "cannot install `{}` from PyPI: check the network",
                self.packages.join("`, `")
            ),
        )?;
        std::fs::write(folder.join("complete"), "").context("cannot finish the installation")?;
        self.in_folder(&folder)
            .with_context(|| format!("{:?} came without `{}`", self.packages, self.program))
    }

    pub(super) fn in_folder(&self, folder: &Path) -> Option<PathBuf> {
        let program = folder.join("bin").join(self.program);
        (folder.join("complete").exists() && program.is_file()).then_some(program)
    }
}

/// Runs one command of the installation; what it printed goes into the error.
pub(super) fn step(command: &mut Command, failure: &str) -> Result<()> {
    let output = command.output().with_context(|| failure.to_owned())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{failure}\n{}", said.trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_installation_does_not_count() {
        let folder = crate::process::private_folder("venv").unwrap();
        let tool = FromPypi {
            folder: "none",
            packages: &[],
            program: "tool",
            python: PYTHON,
        };
        std::fs::create_dir_all(folder.path().join("bin")).unwrap();
        std::fs::write(folder.path().join("bin/tool"), "").unwrap();
        assert_eq!(tool.in_folder(folder.path()), None);

        std::fs::write(folder.path().join("complete"), "").unwrap();
        assert!(tool.in_folder(folder.path()).is_some());
    }
}

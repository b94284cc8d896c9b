//! uv, one of the two programs with which Airflow makes a virtual environment.

use std::path::PathBuf;

use anyhow::Result;

use super::airflow::reachable;
use super::python::{FromPypi, PYTHON};

/// The program `uv`, from PyPI, where Airflow's user finds it too; made on the first call (about
/// 5 s). It is for the benchmark alone: it fetches pip from an index.
pub fn uv() -> Result<PathBuf> {
    let tool = FromPypi {
        folder: &reachable("uv-0.13.9"),
        packages: &["uv==0.13.9"],
        program: "uv",
        python: PYTHON,
    };
    tool.get()
}

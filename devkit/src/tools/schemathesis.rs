//! schemathesis, which holds the service's answers against its OpenAPI document.

use std::path::PathBuf;

use anyhow::Result;

use super::python::{FromPypi, PYTHON};

const SCHEMATHESIS: FromPypi<'_> = FromPypi {
    folder: "schemathesis-4.32.5",
    packages: &["schemathesis==4.32.5", "hypothesis==6.170.17"],
    program: "schemathesis",
    python: PYTHON,
};

/// The program `schemathesis`, from PyPI, made on the first call (about 50 s).
pub fn schemathesis() -> Result<PathBuf> {
    SCHEMATHESIS.get()
}

/// Like [`schemathesis`], but installs nothing.
pub fn schemathesis_at_hand() -> Result<Option<PathBuf>> {
    SCHEMATHESIS.at_hand()
}

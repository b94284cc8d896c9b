//! moto, which stands in for AWS and truly verifies signatures.

use std::path::PathBuf;

use anyhow::Result;

use super::python::{FromPypi, PYTHON};

/// Its server needs two packages more; `moto[server]` would bring thirty, for
/// services that nobody here asks.
const MOTO: FromPypi<'_> = FromPypi {
    folder: "moto-5.2.1",
    packages: &["moto==5.2.1", "flask==3.1.3", "flask-cors==6.0.5"],
    program: "moto_server",
    python: PYTHON,
};

/// The program `moto_server`, from PyPI, made on the first call (about 10 s
/// and 140 MB).
pub fn moto() -> Result<PathBuf> {
    MOTO.get()
}

/// Like [`moto`], but installs nothing.
pub fn moto_at_hand() -> Result<Option<PathBuf>> {
    MOTO.at_hand()
}

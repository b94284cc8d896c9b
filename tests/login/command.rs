//! The binary in the host's folder.

use std::process::{Command, Stdio};

use cofferdam_devkit::world::Finished;

use super::host::Host;
use crate::common::binary;

/// Writes `cofferdam.toml`: a block of docs/VAULT.md with this server's address.
pub(super) fn settings(host: &Host, block: &str) {
    let mut document: toml::Table = block.parse().unwrap();
    let vault = document["vault"].as_table_mut().unwrap();
    vault.extend(host.common.parse::<toml::Table>().unwrap());
    host.write("cofferdam.toml", &document.to_string());
}

/// `cofferdam ARGUMENTS` with an empty environment.
pub(super) fn cofferdam(host: &Host, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .current_dir(host.folder.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(super) fn finished(mut command: Command) -> Finished {
    Finished::of(command.output().unwrap()).unwrap()
}

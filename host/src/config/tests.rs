use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use insta::assert_snapshot;

use super::*;
use crate::diagnostic::Diagnostic;

fn parse(text: &str) -> Result<HostConfig, ConfigError> {
    HostConfig::parse(
        text,
        Path::new("cofferdam.toml"),
        Path::new("/srv/cofferdam"),
    )
}

fn refusal(text: &str) -> String {
    match parse(text) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => match error.hint() {
            Some(hint) => format!("{error}\nhint: {hint}"),
            None => error.to_string(),
        },
    }
}

#[test]
fn an_empty_file_takes_every_default() {
    let config = parse("").unwrap();
    assert_eq!(config.grants, Path::new("/srv/cofferdam/grants"));
    assert_eq!(config.state, Path::new("/srv/cofferdam/state"));
    assert_eq!(config.audit, Path::new("/srv/cofferdam/audit"));
    assert_eq!(config.cache, Path::new("/srv/cofferdam/cache"));
    assert_eq!(config.engine, EngineConfig::default());
    assert!(config.vault.is_none());
}

#[test]
fn paths_are_relative_to_the_file_or_absolute() {
    let config = parse("[paths]\ngrants = \"../reviewed\"\nstate = \"/var/lib/x\"\n").unwrap();
    assert_eq!(config.grants, Path::new("/srv/cofferdam/../reviewed"));
    assert_eq!(config.state, Path::new("/var/lib/x"));
}

#[test]
fn the_engine_has_ranges() {
    let config = parse("[engine]\ninstances = 8\nmemory = \"256MiB\"\n").unwrap();
    assert_eq!(config.engine.instances, 8);
    assert_eq!(config.engine.max_memory, 256 << 20);
    assert_snapshot!(refusal("[engine]\ninstances = 0\n"), @r"
    cofferdam.toml:2:13: `engine.instances`: `0` is out of range
    hint: choose a value from 1 to 4096
    ");
    assert_snapshot!(refusal("[engine]\nmemory = \"8GiB\"\n"), @r"
    cofferdam.toml:2:10: `engine.memory`: `8GiB` is out of range
    hint: choose a value from 1MiB to 4GiB
    ");
}

#[test]
fn what_is_not_known_is_refused() {
    assert_snapshot!(refusal("[path]\n"), @r"
    cofferdam.toml:1:2: `path`: unknown field `path`, expected one of `paths`, `vault`, `engine`
    hint: correct the spelling or remove the field; docs/GRANTS.md describes every one
    ");
    assert_snapshot!(refusal("[paths]\nlogs = \"x\"\n"), @r"
    cofferdam.toml:2:1: `paths.logs`: unknown field `logs`, expected one of `grants`, `state`, `audit`, `cache`
    hint: correct the spelling or remove the field; docs/GRANTS.md describes every one
    ");
    assert_snapshot!(refusal("[paths]\ngrants = \"\"\n"), @r"
    cofferdam.toml:2:10: `paths.grants`: not the name of a folder
    hint: write a path, absolute or relative to this file
    ");
    assert_snapshot!(refusal("[vault]\naddres = \"x\"\n"), @r"
    cofferdam.toml:2:1: `vault.addres`: unknown field `addres`, expected one of `address`, `addresses`, `require_healthy`, `namespace`, `ca_file`, `tls_server_name`, `client_cert_file`, `client_key_file`, `plain`, `token_role`, `timeout`, `auth`, `identity`
    hint: correct the spelling or remove the field; docs/GRANTS.md describes every one
    ");
}

#[test]
fn reads_a_file_that_only_we_can_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cofferdam.toml");
    let shown = |error: ConfigError| {
        let folder = folder.path().display().to_string();
        format!("{error}\nhint: {}", error.hint().unwrap()).replace(&folder, "…")
    };
    assert_snapshot!(shown(HostConfig::load(&path).unwrap_err()), @r"
    there is no configuration `…/cofferdam.toml`
    hint: name it with `--config FILE`, or create one: an empty file takes every default; docs/GRANTS.md describes the fields
    ");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(HostConfig::load(&path).unwrap().root, folder.path());
    fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
    assert_snapshot!(shown(HostConfig::load(&path).unwrap_err()), @r"
    `…/cofferdam.toml` can be written by others (mode 0664)
    hint: whoever can write it decides about credentials; review it, then run `chmod go-w …/cofferdam.toml`
    ");
}

//! `cofferdam login`: a person logs in to Vault in a browser.

mod browser;
mod callback;
mod error;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::{Failure, Format, Globals, Output};
use crate::config::HostConfig;
use crate::diagnostic::Exit;
use crate::vault::browser::{BrowserLogin, LoggedOut, TokenSlot, log_out};
use crate::vault::config::{AuthConfig, CallbackPort, OidcConfig};
use crate::vault::path::{VaultName, VaultPath};
use crate::vault::{VaultConfig, VaultError};
use callback::{Arrival, Callback, Verdict};
use error::LoginError;

/// Log in to Vault in a browser (OIDC), or log out.
///
/// The token goes into a file that only its owner can read, and from there the
/// host takes it: `token_file` of `[vault.auth.oidc]`, or `path` of
/// `[vault.auth.token_file]`. It is never printed. Exit codes: 0 done, 2 bad
/// usage or configuration, 3 refused or nobody came, 4 Vault not available.
#[derive(Debug, clap::Args)]
pub(super) struct LoginArgs {
    /// End the log-in: revoke the token in the file, and remove the file.
    #[arg(long, conflicts_with_all = ["no_browser", "mount", "role", "port", "wait"])]
    revoke: bool,
    /// Print the address on stderr and open no browser.
    #[arg(long)]
    no_browser: bool,
    /// The file for the token instead of the configured one.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where OIDC is mounted, below `auth/`, instead of the configured mount.
    #[arg(long, value_name = "MOUNT")]
    mount: Option<VaultPath>,
    /// The role instead of the configured one.
    #[arg(long, value_name = "ROLE")]
    role: Option<VaultName>,
    /// The port of 127.0.0.1 that the browser comes back to.
    #[arg(long, value_name = "PORT", value_parser = port)]
    port: Option<CallbackPort>,
    /// How long to wait for the browser.
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = wait)]
    wait: Duration,
}

/// What machines read.
#[derive(Serialize)]
struct Document<'a> {
    token_file: &'a Path,
    /// `logged_in`, `revoked` or `was_dead`.
    outcome: &'static str,
    /// Seconds that the token lives; none for one without an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
}

/// Executes the command.
pub(super) async fn execute(
    args: LoginArgs,
    globals: &Globals,
    output: &Output,
) -> Result<Exit, Failure> {
    let config = HostConfig::load(&globals.config)?;
    let vault = config.vault.ok_or_else(|| VaultError::Settings {
        fault: format!("{} has no such table", globals.config.display()),
    })?;
    let oidc = settings(&args, &vault)?;
    if args.revoke {
        out(&vault, &oidc, output).await
    } else {
        log_in(&args, &vault, &oidc, output).await
    }
}

async fn log_in(
    args: &LoginArgs,
    vault: &VaultConfig,
    oidc: &OidcConfig,
    output: &Output,
) -> Result<Exit, Failure> {
    // What can fail without a person is tried before there is one.
    let slot = TokenSlot::prepare(&oidc.token_file)?;
    let callback = Callback::bind(oidc.port).await?;
    let begun = BrowserLogin::begin(vault, oidc).await?;
    output.note(format_args!("log in here: {}", begun.url()));
    if !args.no_browser && !browser::open(begun.url()) {
        output.note("no browser could be opened: open the address yourself");
    }
    let Arrival { code, answer } = callback.wait(begun.state(), args.wait).await?;
    let finished = match code {
        Ok(code) => begun.finish(&code, slot).await.map_err(Failure::from),
        Err(denied) => Err(denied.into()),
    };
    let verdict = match finished {
        Ok(_) => Verdict::LoggedIn,
        Err(_) => Verdict::Refused,
    };
    answer.give(verdict).await;
    let life = finished?.life;
    match output.format() {
        Format::Json => output.json(&Document {
            token_file: &oidc.token_file,
            outcome: "logged_in",
            expires_in: life.map(|life| life.as_secs()),
        }),
        Format::Text => output.note(format_args!(
            "logged in; the token is in {}{}",
            oidc.token_file.display(),
            match life {
                // Whole seconds: the last one is under way already.
                Some(life) => format!(
                    " and ends in {}",
                    humantime::format_duration(Duration::from_secs(life.as_secs()))
                ),
                None => String::new(),
            }
        )),
    }
    Ok(Exit::Done)
}

async fn out(vault: &VaultConfig, oidc: &OidcConfig, output: &Output) -> Result<Exit, Failure> {
    let (outcome, words) = match log_out(vault, &oidc.token_file).await? {
        LoggedOut::Revoked => ("revoked", "logged out: the token is revoked"),
        LoggedOut::WasDead => ("was_dead", "logged out: the token was dead already"),
    };
    match output.format() {
        Format::Json => output.json(&Document {
            token_file: &oidc.token_file,
            outcome,
            expires_in: None,
        }),
        Format::Text => output.note(words),
    }
    Ok(Exit::Done)
}

/// The configured log-in with what the command line says instead.
fn settings(args: &LoginArgs, vault: &VaultConfig) -> Result<OidcConfig, LoginError> {
    let mut oidc = match (&vault.auth, &args.token_file) {
        (AuthConfig::Oidc(oidc), _) => oidc.clone(),
        (AuthConfig::TokenFile(file), _) => OidcConfig::with_file(file.path.clone())?,
        (_, Some(file)) => OidcConfig::with_file(file.clone())?,
        _ => return Err(LoginError::NoTokenFile),
    };
    if let Some(file) = &args.token_file {
        oidc.token_file.clone_from(file);
    }
    if let Some(mount) = &args.mount {
        oidc.mount.clone_from(mount);
    }
    if args.role.is_some() {
        oidc.role.clone_from(&args.role);
    }
    if let Some(port) = args.port {
        oidc.port = port;
    }
    Ok(oidc)
}

fn port(text: &str) -> Result<CallbackPort, String> {
    let port = text.parse::<u16>().map_err(|error| error.to_string())?;
    CallbackPort::try_from(port).map_err(str::to_owned)
}

/// A wait that a person can need, and a forgotten terminal survives.
fn wait(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|wait| (Duration::from_secs(1)..=Duration::from_secs(600)).contains(wait))
        .ok_or_else(|| "1s to 10m, after which Vault forgets the log-in".to_owned())
}

//! `cofferdam identity`: the public keys of what this host signs, and their
//! rotation.

use clap::Subcommand;
use serde::Serialize;

use super::{Failure, Format, Globals, Output};
use crate::config::HostConfig;
use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::vault::identity::{Keyring, Replaced};

/// The keys that this host signs JWTs with, for attempts that log in to Vault
/// as themselves.
#[derive(Debug, clap::Args)]
pub(super) struct IdentityArgs {
    #[command(subcommand)]
    command: IdentityCommand,
}

#[derive(Debug, Subcommand)]
enum IdentityCommand {
    /// Prints the public keys as a key set (JWKS), for what Vault's `jwks_url` names.
    Jwks,
    /// Prints the public keys as PEM, for Vault's `jwt_validation_pubkeys`.
    Pem,
    /// Signs with a new key from now on. The old one stays in the key set for
    /// ten minutes, as long as anything that it signed can be used.
    Rotate(RotateArgs),
}

#[derive(Debug, clap::Args)]
struct RotateArgs {
    /// Only make the next key and put it into the key set. Give the set to Vault,
    /// then rotate: no log-in fails in between.
    #[arg(long, conflicts_with = "forget")]
    stage: bool,
    /// Take the old key out of the key set at once: somebody else may have it.
    #[arg(long)]
    forget: bool,
}

/// What machines read of a rotation.
#[derive(Serialize)]
struct Rotated<'a> {
    /// `staged` or `rotated`.
    done: &'a str,
    /// Names the new key.
    kid: &'a str,
}

/// Nobody to vouch as.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has no `[vault.identity]`")]
struct NoIdentity;

impl Diagnostic for NoIdentity {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Operator
    }

    fn hint(&self) -> Option<String> {
        Some("add the table with `issuer` and `audience`; docs/VAULT.md shows one".to_owned())
    }
}

/// Executes the command.
pub(super) async fn execute(
    args: IdentityArgs,
    globals: &Globals,
    output: &Output,
) -> Result<Exit, Failure> {
    let config = HostConfig::load(&globals.config)?;
    let identity = config.vault.and_then(|vault| vault.identity);
    let identity = identity.ok_or(NoIdentity)?;
    let keys = Keyring::new(identity.key_file.as_deref(), &config.state);
    match args.command {
        IdentityCommand::Jwks => {
            let set = keys.public_keys()?;
            match output.format() {
                Format::Json => output.json(&set),
                Format::Text => output.json_pretty(&set),
            }
        }
        IdentityCommand::Pem => {
            let set = keys.public_keys()?;
            match output.format() {
                Format::Json => output.json(&set.pems()),
                Format::Text => output.data(set.pem().trim_end()),
            }
        }
        IdentityCommand::Rotate(args) => rotate(&args, &keys, output)?,
    }
    Ok(Exit::Done)
}

fn rotate(args: &RotateArgs, keys: &Keyring, output: &Output) -> Result<(), Failure> {
    let (done, key) = if args.stage {
        ("staged", keys.stage()?)
    } else if args.forget {
        ("rotated", keys.rotate(Replaced::Forgotten)?)
    } else {
        ("rotated", keys.rotate(Replaced::Retires)?)
    };
    let kid = key.kid();
    match output.format() {
        Format::Json => output.json(&Rotated { done, kid }),
        Format::Text => output.note(match args.stage {
            true => format!("the next key is {kid}; give the key set to Vault, then rotate"),
            false => format!("signing with {kid} from now on"),
        }),
    }
    Ok(())
}

//! `cofferdam policy`: the least that Vault must allow, from the grants.

mod database;
mod document;
mod error;
mod jwt;

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Failure, Format, Globals, Output};
use crate::config::HostConfig;
use crate::diagnostic::Exit;
use crate::grants::{self, Grants};
use crate::name::TaskName;
use crate::secret::{Privacy, read_file};
use crate::vault::Admin;
use crate::vault::path::{VaultName, VaultPath};
use database::Databases;
use document::{Documents, HostDocument, ReviewerDocument, TaskDocument};
use error::PolicyCommandError;

/// The name of the token role where no `[vault]` names another.
const DEFAULT_TOKEN_ROLE: &str = "cofferdam";

/// Prints the minimal Vault policies of tasks, of the host and of a reviewer, or
/// writes them into Vault.
///
/// Vault then refuses what a grants file does not grant, whatever happens to
/// the host.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("whose").required(true).multiple(true)))]
pub(super) struct PolicyArgs {
    /// The tasks.
    #[arg(value_name = "TASK", group = "whose")]
    tasks: Vec<TaskName>,
    /// Every task of the grants folder.
    #[arg(long, group = "whose", conflicts_with = "tasks")]
    all: bool,
    /// The host's own policy and the token role.
    #[arg(long, group = "whose")]
    host: bool,
    /// The policy of a reviewer's token, for `cofferdam doctor --token-file`.
    #[arg(long, group = "whose")]
    reviewer: bool,
    /// The database users of the tasks' `[sql.…]` grants, as roles of Vault's
    /// database engine, instead of the policies.
    #[arg(long, conflicts_with_all = ["host", "reviewer", "write"])]
    database: bool,
    /// What the database engine calls its connection, where that is not the
    /// database's own name.
    #[arg(long, value_name = "NAME", requires = "database")]
    connection: Option<VaultName>,
    /// Write them into Vault instead of printing them.
    #[arg(long, requires = "admin_token_file")]
    write: bool,
    /// A file with a token that may write policies (and, with --host, the token
    /// role, and for tasks that log in as themselves, their roles); only its
    /// owner may be able to read it.
    #[arg(long, value_name = "FILE", requires = "write")]
    admin_token_file: Option<PathBuf>,
}

/// Executes the command.
pub(super) async fn execute(
    args: PolicyArgs,
    globals: &Globals,
    output: &Output,
) -> Result<Exit, Failure> {
    let config = HostConfig::load(&globals.config)?;
    if args.database {
        let connection = args.connection.as_ref().map(VaultName::as_str);
        let databases = Databases::of(&granted(&args, &config)?, connection);
        if let Some(conflict) = databases.conflict() {
            return Err(conflict.into());
        }
        match output.format() {
            Format::Json => output.json(&databases),
            Format::Text => output.data(&databases),
        }
        return Ok(Exit::Done);
    }
    let mut documents = documents(&args, &config)?;
    if let Some(file) = &args.admin_token_file {
        write(&config, file, &documents).await?;
        documents.written = true;
    }
    match output.format() {
        Format::Json => output.json(&documents),
        Format::Text => output.data(&documents),
    }
    Ok(Exit::Done)
}

fn documents(args: &PolicyArgs, config: &HostConfig) -> Result<Documents, Failure> {
    let host = if args.host {
        Some(HostDocument::new(&token_role(config)?)?)
    } else {
        None
    };
    let identity = config.vault.as_ref().and_then(|it| it.identity.as_ref());
    let tasks = granted(args, config)?
        .iter()
        .map(|grants| TaskDocument::new(grants, identity))
        .collect::<Result<_, _>>()?;
    let reviewer = if args.reviewer {
        let role = token_role(config)?;
        let mounts = identity_mounts(config);
        Some(ReviewerDocument::new(
            &role,
            config.vault.as_ref(),
            &mounts,
        )?)
    } else {
        None
    };
    Ok(Documents {
        written: false,
        host,
        reviewer,
        tasks,
    })
}

fn granted(args: &PolicyArgs, config: &HostConfig) -> Result<Vec<Grants>, Failure> {
    let mut granted = Vec::new();
    if args.all {
        for file in grants::load_all(&config.grants)? {
            granted.push(file.grants?);
        }
    }
    for task in &args.tasks {
        granted.push(grants::load(&config.grants, task)?);
    }
    Ok(granted)
}

/// Where tasks log in as themselves. A grants file that cannot be used is the
/// doctor's to tell.
fn identity_mounts(config: &HostConfig) -> BTreeSet<VaultPath> {
    let files = grants::load_all(&config.grants).unwrap_or_default();
    files
        .into_iter()
        .filter_map(|file| file.grants.ok()?.authority)
        .map(|jwt| jwt.mount)
        .collect()
}

fn token_role(config: &HostConfig) -> Result<VaultName, PolicyCommandError> {
    match &config.vault {
        Some(vault) => Ok(vault.token_role.clone()),
        None => Ok(DEFAULT_TOKEN_ROLE.parse()?),
    }
}

async fn write(
    config: &HostConfig,
    token_file: &std::path::Path,
    documents: &Documents,
) -> Result<(), Failure> {
    let vault = config.vault.as_ref().ok_or(PolicyCommandError::NoVault)?;
    let admin = Admin::connect(vault, read_file(token_file, Privacy::Secret)?)?;
    if let Some(host) = &documents.host {
        admin.put_policy(&host.policy, &host.hcl).await?;
        admin.put_token_role(&host.token_role, &host.role).await?;
    }
    if let Some(reviewer) = &documents.reviewer {
        admin.put_policy(&reviewer.policy, &reviewer.hcl).await?;
    }
    for task in &documents.tasks {
        if task.carried {
            admin.put_policy(&task.policy, &task.hcl).await?;
        }
        if let Some(jwt) = task.jwt.as_ref().filter(|jwt| jwt.own) {
            admin.put_jwt_role(&jwt.mount, &jwt.name, &jwt.role).await?;
        }
    }
    Ok(())
}

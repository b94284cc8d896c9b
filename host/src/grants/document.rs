//! The grants of one task.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::authority::RawAuthority;
use super::{CallerRule, GrantsError, JwtAuthority, Limits};
use crate::capability::http::HttpGrant;
use crate::capability::keys::KeysGrant;
use crate::capability::reveal::RevealGrant;
use crate::capability::sql::SqlGrant;
use crate::config::strict::{self, DocumentError};
use crate::digest::Digest;
use crate::manifest::NeedKind;
use crate::name::{GrantName, TaskName};
use crate::vault::policy::PolicyRules;

/// The grants of one task, parsed and checked.
#[derive(Debug, Clone)]
pub struct Grants {
    /// The task's name; also the file's stem.
    pub task: TaskName,
    /// Where the component lies; relative to the folder of `cofferdam.toml`.
    pub component: PathBuf,
    /// The bytes that get credentials.
    pub digest: Digest,
    /// Who may run it.
    pub caller: CallerRule,
    /// What it may use up.
    pub limits: Limits,
    /// `[authority.jwt]`; without it an attempt gets a child token.
    pub authority: Option<JwtAuthority>,
    /// `[http.NAME]`.
    pub http: BTreeMap<GrantName, Arc<HttpGrant>>,
    /// `[keys.NAME]`.
    pub keys: BTreeMap<GrantName, Arc<KeysGrant>>,
    /// `[reveal.NAME]`.
    pub reveal: BTreeMap<GrantName, RevealGrant>,
    /// `[sql.NAME]`.
    pub sql: BTreeMap<GrantName, Arc<SqlGrant>>,
    /// Digest of the file's bytes, for the audit.
    pub source: Digest,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    task: TaskName,
    component: ComponentPath,
    digest: Digest,
    caller: CallerRule,
    #[serde(default)]
    limits: Limits,
    authority: Option<RawAuthority>,
    #[serde(default)]
    http: BTreeMap<GrantName, Arc<HttpGrant>>,
    #[serde(default)]
    keys: BTreeMap<GrantName, Arc<KeysGrant>>,
    #[serde(default)]
    reveal: BTreeMap<GrantName, RevealGrant>,
    #[serde(default)]
    sql: BTreeMap<GrantName, Arc<SqlGrant>>,
}

impl Grants {
    /// Parses a grants file. `file` is its name, for messages and because its
    /// stem is the task; `source` is the digest of its bytes.
    ///
    /// # Errors
    /// [`GrantsError::Document`] names file, line, column, field and cure.
    pub fn parse(text: &str, file: &Path, source: Digest) -> Result<Self, GrantsError> {
        let document: Document = strict::parse(text, file, cure)?;
        let wrong = |keys: &[&str], message: &str| {
            let span = strict::span_of(text, keys);
            DocumentError::at(text, file, span, Some(keys.join(".")), message)
        };
        let task = document.task.as_str();
        if file.file_stem().and_then(|stem| stem.to_str()) != Some(task) {
            return Err(wrong(
                &["task"],
                &format!(
                    "the task `{task}` in a file of another name\nname the file `{task}.toml`, or \
                     correct the task"
                ),
            )
            .into());
        }
        let authority = document
            .authority
            .map(|authority| authority.of_task(&document.task))
            .transpose()
            .map_err(|error| wrong(&["authority", "jwt", error.field], &error.message))?;
        let grants = Self {
            task: document.task,
            component: document.component.0,
            digest: document.digest,
            caller: document.caller,
            limits: document.limits,
            authority,
            http: document.http,
            keys: document.keys,
            reveal: document.reveal,
            sql: document.sql,
            source,
        };
        if let Some((first, second, name)) = grants.ambiguous() {
            let message = format!(
                "the name is taken by `{first}.{name}`\ngive each grant a name of its own: a task \
                 and a reviewer must mean the same thing by it"
            );
            return Err(wrong(&[&second.to_string(), name.as_str()], &message).into());
        }
        if grants.authority.is_some() && !grants.needs_vault() {
            let message = "no grant of this file needs Vault\nremove the table: the task gets no \
                           authority";
            return Err(wrong(&["authority"], message).into());
        }
        Ok(grants)
    }

    /// What the task needs in Vault; empty for a task without Vault-backed grants.
    pub fn policy(&self) -> PolicyRules {
        let mut rules = PolicyRules::default();
        self.http
            .values()
            .for_each(|grant| grant.policy(&mut rules));
        self.keys
            .values()
            .for_each(|grant| grant.policy(&mut rules));
        self.reveal
            .values()
            .for_each(|grant| grant.policy(&mut rules));
        self.sql.values().for_each(|grant| grant.policy(&mut rules));
        rules
    }

    /// True when the attempt needs an authority in Vault.
    pub fn needs_vault(&self) -> bool {
        !self.policy().0.is_empty()
    }

    /// True when a task can reach nothing outside itself under them.
    pub fn is_empty(&self) -> bool {
        self.entries().next().is_none()
    }

    /// NeedKind and name of every grant, by kind and name.
    pub fn entries(&self) -> impl Iterator<Item = (NeedKind, &GrantName)> {
        let http = self.http.keys().map(|name| (NeedKind::Http, name));
        let keys = self.keys.keys().map(|name| (NeedKind::Keys, name));
        let reveal = self.reveal.keys().map(|name| (NeedKind::Reveal, name));
        let sql = self.sql.keys().map(|name| (NeedKind::Sql, name));
        http.chain(keys).chain(reveal).chain(sql)
    }

    /// `kind.name` of every grant, for the audit and the report.
    pub fn names(&self) -> Vec<String> {
        self.entries()
            .map(|(kind, name)| format!("{kind}.{name}"))
            .collect()
    }

    /// The first name that two kinds share.
    fn ambiguous(&self) -> Option<(NeedKind, NeedKind, &GrantName)> {
        let mut seen = BTreeMap::new();
        self.entries().find_map(|(kind, name)| {
            let first = seen.insert(name, kind)?;
            Some((first, kind, name))
        })
    }
}

/// The cure for an error of a type that serves more than this file.
fn cure(error: &DocumentError) -> Option<&'static str> {
    match error.field.as_deref()? {
        "digest" => Some(
            "`cofferdam build` prints the line to paste, and so does `cofferdam check` when the \
             component has changed",
        ),
        "caller" | "caller.dags" => Some("name who may run the task: `dags = [\"billing\"]`"),
        "caller.identity" => Some(
            "`attested`, the default, asks that a party other than the task's own code vouches \
             for the caller; `claimed` takes the caller's word",
        ),
        _ => None,
    }
}

/// Where a component lies: absolute, or below the folder of `cofferdam.toml`.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct ComponentPath(PathBuf);

impl TryFrom<String> for ComponentPath {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(
                "not the name of a file\nwrite the path of the component, relative to the folder \
                 of `cofferdam.toml`",
            );
        }
        let path = PathBuf::from(text);
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(
                "the path leaves its folder through `..`\nwrite it below the folder of \
                 `cofferdam.toml`, or absolute",
            );
        }
        Ok(Self(path))
    }
}

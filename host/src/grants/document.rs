//! The grants of one task.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{CallerRule, Limits};
use crate::capability::http::HttpGrant;
use crate::capability::keys::KeysGrant;
use crate::capability::reveal::RevealGrant;
use crate::digest::Digest;
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
    /// `[http.NAME]`.
    pub http: BTreeMap<GrantName, HttpGrant>,
    /// `[keys.NAME]`.
    pub keys: BTreeMap<GrantName, KeysGrant>,
    /// `[reveal.NAME]`.
    pub reveal: BTreeMap<GrantName, RevealGrant>,
    /// Digest of the file's bytes, for the audit.
    pub source: Digest,
}

impl Grants {
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
        rules
    }

    /// True when the attempt needs an authority in Vault.
    pub fn needs_vault(&self) -> bool {
        !self.policy().0.is_empty()
    }

    /// `kind.name` of every grant, for the audit and the report.
    pub fn names(&self) -> Vec<String> {
        let http = self.http.keys().map(|name| format!("http.{name}"));
        let keys = self.keys.keys().map(|name| format!("keys.{name}"));
        let reveal = self.reveal.keys().map(|name| format!("reveal.{name}"));
        http.chain(keys).chain(reveal).collect()
    }
}

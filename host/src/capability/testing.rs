//! An attempt for the tests of capabilities: no Vault, no guest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::http::{HttpClients, HttpGrant};
use super::keys::KeysGrant;
use super::reveal::RevealGrant;
use super::sql::{SqlGrant, SqlServers};
use super::{Attempt, AttemptParts, LogLine, LogSink, Pulse, TaskLog};
use crate::audit::AuditLog;
use crate::digest::Digest;
use crate::grants::{CallerRule, Grants, Limits};
use crate::identity::{Assurance, IdentityParts};
use crate::name::GrantName;
use crate::scrub::SecretSet;

/// What an attempt is made of; the rest is fixed.
pub(crate) struct Stage {
    pub(crate) http: BTreeMap<GrantName, HttpGrant>,
    pub(crate) keys: BTreeMap<GrantName, KeysGrant>,
    pub(crate) reveal: BTreeMap<GrantName, RevealGrant>,
    pub(crate) sql: BTreeMap<GrantName, SqlGrant>,
    pub(crate) clients: HttpClients,
    pub(crate) time: Duration,
    /// Where the audit goes; into a file when `None`.
    pub(crate) audit: Option<AuditLog>,
    /// Keeps the audit's folder.
    folder: tempfile::TempDir,
}

struct Silent;

impl LogSink for Silent {
    fn line(&self, _line: LogLine) {}
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            http: BTreeMap::new(),
            keys: BTreeMap::new(),
            reveal: BTreeMap::new(),
            sql: BTreeMap::new(),
            clients: HttpClients::new(Vec::new()),
            time: Duration::from_secs(20),
            audit: None,
            folder: tempfile::tempdir().unwrap(),
        }
    }
}

impl Stage {
    /// Adds an `[http.NAME]` table.
    pub(crate) fn http(mut self, name: &str, table: &str) -> Self {
        let grant = toml::from_str(table).unwrap();
        self.http.insert(name.parse().unwrap(), grant);
        self
    }

    /// The attempt, and the folder of its audit.
    pub(crate) fn attempt(self) -> (Arc<Attempt>, tempfile::TempDir) {
        let digest = Digest::of(b"test");
        let grants = Grants {
            task: "test".parse().unwrap(),
            component: "test.wasm".into(),
            digest,
            caller: CallerRule {
                dags: vec!["test".to_owned()],
                identity: Assurance::Claimed,
            },
            limits: limits(),
            authority: None,
            http: shared(self.http),
            keys: shared(self.keys),
            reveal: self.reveal,
            sql: shared(self.sql),
            source: digest,
        };
        let identity = IdentityParts {
            bundle: String::new(),
            dag_id: "test".to_owned(),
            task_id: "test".to_owned(),
            run_id: "test".to_owned(),
            try_number: 1,
            map_index: -1,
            logical_date: None,
            assurance: Assurance::Claimed,
        };
        let audit = self
            .audit
            .unwrap_or_else(|| AuditLog::create(self.folder.path()).unwrap());
        let attempt = Attempt::new(AttemptParts {
            grants: Arc::new(grants),
            identity: identity.check().unwrap(),
            recorder: Arc::new(audit.recorder("run-1")),
            session: None,
            secrets: SecretSet::default(),
            http: Arc::new(self.clients),
            sql: Arc::new(SqlServers::new(Vec::new())),
            deadline: Instant::now() + self.time,
            log: Arc::new(TaskLog::new(
                Arc::new(Silent),
                SecretSet::default(),
                1 << 20,
            )),
            pulse: Pulse::start(),
        });
        (Arc::new(attempt), self.folder)
    }
}

/// The text of the audit in a folder.
pub(crate) fn audit_text(folder: &tempfile::TempDir) -> String {
    let files = std::fs::read_dir(folder.path()).unwrap();
    files
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect()
}

/// The intents and outcomes of the audit in a folder.
pub(crate) fn audit_lines(folder: &tempfile::TempDir) -> Vec<serde_json::Value> {
    audit_text(folder)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &serde_json::Value| {
            matches!(line["event"].as_str(), Some("intent" | "outcome"))
        })
        .collect()
}

fn limits() -> Limits {
    Limits {
        timeout: Duration::from_secs(60),
        grace: Duration::from_millis(500),
        heartbeat: None,
        memory: 128 << 20,
        table_elements: 20_000,
        instances: 100,
        handles: 1_000,
        output: 1 << 20,
        input: 8 << 20,
        log: 1 << 20,
        host_calls: 1_000_000,
    }
}

fn shared<T>(grants: BTreeMap<GrantName, T>) -> BTreeMap<GrantName, Arc<T>> {
    (grants.into_iter())
        .map(|(name, grant)| (name, Arc::new(grant)))
        .collect()
}

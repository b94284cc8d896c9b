//! What the service depends on, as it was seen last.

use std::time::Instant;

use super::store::StoreError;
use crate::api::{Check, VaultHealth, VaultNode};
use crate::audit::AuditError;
use crate::diagnostic::with_causes;
use crate::lock::Mutex;
use crate::vault::{JournalError, NodeHealth};

/// What was seen last.
#[derive(Default)]
pub(super) struct Watched(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    audit: Option<String>,
    store: Option<String>,
    journal: Option<String>,
    vault: Option<(Instant, Vec<VaultNode>)>,
}

impl Watched {
    /// The audit takes lines, or does not. A change is told in the host's own log.
    pub(super) fn audit(&self, seen: Result<(), &AuditError>) {
        note(
            "the audit",
            &mut self.0.lock().audit,
            seen.err().map(|error| error as _),
        );
    }

    /// The results are kept, or not.
    pub(super) fn store(&self, seen: Result<(), &StoreError>) {
        note(
            "the kept results",
            &mut self.0.lock().store,
            seen.err().map(|error| error as _),
        );
    }

    /// Tokens and leases can be written down before they are used, or not.
    pub(super) fn journal(&self, seen: Result<(), &JournalError>) {
        note(
            "the journal",
            &mut self.0.lock().journal,
            seen.err().map(|error| error as _),
        );
    }

    pub(super) fn store_is_failing(&self) -> bool {
        self.0.lock().store.is_some()
    }

    /// What Vault's nodes said.
    pub(super) fn vault(&self, nodes: &[NodeHealth]) {
        let nodes = nodes.iter().map(|node| VaultNode {
            address: node.address.clone(),
            serves: node.health.serves(),
            health: node.health.to_string(),
            version: node.version.clone(),
        });
        self.0.lock().vault = Some((Instant::now(), nodes.collect()));
    }

    /// How Vault does; well and without nodes when there is none to ask.
    pub(super) fn vault_health(&self) -> VaultHealth {
        match &self.0.lock().vault {
            None => VaultHealth {
                ok: true,
                age_seconds: 0,
                nodes: Vec::new(),
            },
            Some((at, nodes)) => VaultHealth {
                ok: nodes.iter().any(|node| node.serves),
                age_seconds: at.elapsed().as_secs(),
                nodes: nodes.clone(),
            },
        }
    }

    /// All of it.
    pub(super) fn checks(&self) -> Vec<Check> {
        let vault = self.vault_health();
        let seen = self.0.lock();
        let check = |name: &str, problem: Option<String>| Check {
            name: name.to_owned(),
            ok: problem.is_none(),
            problem,
        };
        let nodes: Vec<String> = (vault.nodes.iter())
            .map(|node| format!("{} is {}", node.address, node.health))
            .collect();
        vec![
            check("audit", seen.audit.clone()),
            check("store", seen.store.clone()),
            check("journal", seen.journal.clone()),
            check("vault", (!vault.ok).then(|| nodes.join(", "))),
        ]
    }
}

fn note(what: &str, before: &mut Option<String>, error: Option<&dyn std::error::Error>) {
    let now = error.map(with_causes);
    match (&before, &now) {
        (None, Some(problem)) => tracing::error!(%problem, "{what} cannot be written"),
        (Some(_), None) => tracing::warn!("{what} can be written again"),
        _ => {}
    }
    *before = now;
}

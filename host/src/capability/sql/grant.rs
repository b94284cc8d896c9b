//! The `[sql.NAME]` table.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use serde::Deserialize;

use super::Server;
use super::document::RawSqlGrant;
use super::gate::{Gate, Rules};
use crate::capability::credential::CredentialSource;
use crate::capability::network::Network;
use crate::vault::policy::PolicyRules;

/// Largest message of a server that is ever taken, in bytes: the driver holds
/// each whole.
const MAX_MESSAGE: u64 = 32 << 20;

/// One database that a task may use.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawSqlGrant")]
pub struct SqlGrant {
    /// Where the database is.
    pub server: Server,
    /// Where user name and password come from.
    pub credential: CredentialSource,
    /// Which addresses the server's name may resolve to.
    pub network: Network,
    /// True when the connection may be without TLS.
    pub plain: bool,
    /// The only certificates that are trusted; the system's when `None`.
    pub ca: Option<Vec<CertificateDer<'static>>>,
    /// What statements may do and name; `allow` and `tables` are never empty.
    pub rules: Rules,
    /// What holds statements against the rules.
    pub gate: Arc<Gate>,
    /// Time for one statement. Default 30 s.
    pub statement_timeout: Duration,
    /// Rows that one statement may return. Default 1,000,000.
    pub max_rows: u64,
    /// Bytes that one statement may return or load. Default 64 MiB.
    pub max_bytes: u64,
    /// Connections open at once. Default 1.
    pub max_connections: usize,
    /// Whether the task sees the server's messages.
    pub show_messages: bool,
    /// Whether the audit holds the statements' text beside its digest.
    pub audit_text: bool,
}

impl SqlGrant {
    /// Largest message of the server that is taken, in bytes; a row is one.
    pub(super) fn max_message(&self) -> u64 {
        self.max_bytes.min(MAX_MESSAGE)
    }

    /// What the grant needs in Vault.
    pub fn policy(&self, rules: &mut PolicyRules) {
        self.credential.policy(rules);
    }
}

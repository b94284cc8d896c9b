//! What the audit says. No field ever holds a secret, token, lease id or accessor.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::digest::Digest;
use crate::identity::Identity;

/// Whether the grants cover a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// In scope.
    Allowed,
    /// No such grant.
    NotGranted,
    /// The grant does not cover it.
    OutOfScope,
    /// The arguments are malformed.
    Invalid,
    /// A limit of the grants was reached.
    LimitReached,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// The effect took place.
    Ok,
    /// Vault or the host refused it.
    Denied,
    /// It was tried and failed.
    Failed,
    /// The attempt ended while the call was under way.
    Interrupted,
}

/// One fact. The recorder adds sequence, time, run and chain.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event<'a> {
    /// A run begins: who, what, under which documents.
    RunStarted {
        /// The task.
        task: &'a str,
        /// Who asked.
        identity: &'a Identity,
        /// Digest of the grants file, when it could be read.
        grants: Option<Digest>,
        /// Digest of the component, when known.
        component: Option<Digest>,
        /// The names of the grants by kind, `kind.name`.
        granted: Vec<String>,
    },
    /// An authority was opened for the attempt.
    AuthorityOpened {
        /// The one policy it carries.
        policy: &'a str,
        /// Seconds after which Vault ends it in any case.
        explicit_max_ttl: u64,
        /// Vault's request id of the mint.
        vault_request_id: Option<&'a str>,
    },
    /// A capability is about to be used, or was refused before use.
    Intent {
        /// `http.billing`, `keys.signer`, …
        grant: &'a str,
        /// `send`, `sign`, `reveal`, …
        operation: &'a str,
        /// The target in words: `GET https://host/path` (without query), a key, a path.
        target: &'a str,
        /// The scope decision.
        decision: Decision,
        /// Why, for a refusal; a fixed text or one made from the grants only.
        reason: Option<&'a str>,
    },
    /// How a call ended.
    Outcome {
        /// The sequence number of its intent.
        of: u64,
        /// How.
        outcome: OutcomeKind,
        /// A fixed word for the reason, `timeout`, `vault_refused`, …
        reason: Option<&'a str>,
        /// Vault's request ids that served it.
        vault_request_ids: &'a [String],
        /// Numbers worth keeping: status, bytes_sent, bytes_received, redactions, …
        detail: BTreeMap<&'static str, u64>,
        /// How long it took.
        micros: u64,
    },
    /// The authority was closed.
    AuthorityClosed {
        /// Whether everything was revoked.
        revoked: bool,
        /// A fixed word for the reason when not.
        reason: Option<&'a str>,
        /// Vault's request id of the revocation.
        vault_request_id: Option<&'a str>,
    },
    /// The process's log-in was ended.
    LoginClosed {
        /// Whether it was revoked.
        revoked: bool,
        /// A fixed word for the reason when not.
        reason: Option<&'a str>,
    },
    /// A run ended.
    RunEnded {
        /// `done`, `failed`, `trapped`, `out_of_limits`, `cancelled`, `refused`.
        outcome: &'a str,
        /// Limits that bit.
        limits: &'a [String],
        /// Exit code of the run.
        exit: u8,
    },
}

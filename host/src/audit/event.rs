//! What the audit says. No field ever holds a secret, token, lease id or accessor.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::caller::Caller;
use crate::digest::Digest;
use crate::grants::RunLimits;
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

/// Longer texts are cut: guests and callers choose some of them, and a line
/// of the audit has to stay a line.
pub(super) const MAX_TEXT: usize = 1024;

/// Longest text of a statement; longer ones are cut.
const MAX_STATEMENT: usize = 32 << 10;

/// A statement on a database.
#[derive(Debug, Clone, Serialize)]
pub struct Statement<'a> {
    /// `select`, `insert`, …; none for one that was not understood.
    pub kind: Option<&'static str>,
    /// The tables that it names, `schema.table`.
    pub tables: Vec<String>,
    /// SHA-256 of its text.
    pub digest: Digest,
    /// The database user that runs it; none before there is a connection.
    #[serde(serialize_with = "bounded_option")]
    pub user: Option<&'a str>,
    /// Its text, if the grant says so; scrubbed.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "long")]
    pub text: Option<&'a str>,
}

/// One fact. The recorder adds sequence, time, run and chain.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event<'a> {
    /// A run begins: who, what, under which documents.
    RunStarted {
        /// The task.
        #[serde(serialize_with = "bounded")]
        task: &'a str,
        /// Who asked.
        identity: &'a Identity,
        /// Who asked the service for it.
        #[serde(skip_serializing_if = "Option::is_none")]
        caller: Option<&'a Caller>,
        /// Digest of the grants file, when it could be read.
        grants: Option<Digest>,
        /// Digest of the component, when known.
        component: Option<Digest>,
        /// The names of the grants by kind, `kind.name`.
        granted: Vec<String>,
        /// The limits that the caller tightened; the others are the grants' own.
        #[serde(skip_serializing_if = "Option::is_none")]
        tightened: Option<&'a RunLimits>,
    },
    /// An authority was opened for the attempt.
    AuthorityOpened {
        /// What kind of token it is: `child_token` or `jwt_login`.
        #[serde(serialize_with = "bounded")]
        session: &'a str,
        /// All policies that it carries.
        #[serde(serialize_with = "bounded_list")]
        policies: &'a [String],
        /// The role that the attempt logged in to.
        #[serde(serialize_with = "bounded_option")]
        role: Option<&'a str>,
        /// As whom: the name of its alias in Vault.
        #[serde(serialize_with = "bounded_option")]
        subject: Option<&'a str>,
        /// The id of its entity in Vault.
        #[serde(serialize_with = "bounded_option")]
        entity: Option<&'a str>,
        /// Seconds after which Vault ends it in any case.
        explicit_max_ttl: u64,
        /// Vault's request id of the mint or the log-in.
        #[serde(serialize_with = "bounded_option")]
        vault_request_id: Option<&'a str>,
    },
    /// A capability is about to be used, or was refused before use.
    Intent {
        /// `http.billing`, `keys.signer`, …
        #[serde(serialize_with = "bounded")]
        grant: &'a str,
        /// `send`, `sign`, `reveal`, …
        #[serde(serialize_with = "bounded")]
        operation: &'a str,
        /// The target in words: `GET https://host/path` (without query), a key, a path.
        #[serde(serialize_with = "bounded")]
        target: &'a str,
        /// The scope decision.
        decision: Decision,
        /// Why, for a refusal; a fixed text or one made from the grants only.
        #[serde(serialize_with = "bounded_option")]
        reason: Option<&'a str>,
        /// What is run on a database.
        #[serde(skip_serializing_if = "Option::is_none")]
        statement: Option<&'a Statement<'a>>,
    },
    /// How a call ended.
    Outcome {
        /// The sequence number of its intent.
        of: u64,
        /// How.
        outcome: OutcomeKind,
        /// A fixed word for the reason, `timeout`, `vault_refused`, …
        #[serde(serialize_with = "bounded_option")]
        reason: Option<&'a str>,
        /// Vault's request ids that served it.
        #[serde(serialize_with = "bounded_list")]
        vault_request_ids: &'a [String],
        /// Numbers worth keeping: status, bytes_sent, bytes_received, redactions, …
        detail: BTreeMap<&'static str, u64>,
        /// How long it took.
        micros: u64,
    },
    /// Vault made a credential for the attempt, with a lease.
    LeaseOpened {
        /// The lease's number in its run, from 1; its id is in the journal only.
        lease: u32,
        /// The API path that it came from.
        #[serde(serialize_with = "bounded")]
        source: &'a str,
        /// Above 1 when it replaces one that could not be kept.
        generation: u64,
        /// Seconds that it lives until it is renewed.
        ttl: u64,
        /// Whether it is renewed.
        renewable: bool,
        /// Vault's request id.
        #[serde(serialize_with = "bounded_option")]
        vault_request_id: Option<&'a str>,
    },
    /// A lease was renewed.
    LeaseRenewed {
        /// Its number.
        lease: u32,
        /// Seconds that it lives from now.
        ttl: u64,
        /// Vault's request id.
        #[serde(serialize_with = "bounded_option")]
        vault_request_id: Option<&'a str>,
    },
    /// A lease is renewed no more before the attempt is over.
    LeaseGivenUp {
        /// Its number.
        lease: u32,
        /// A fixed word: `max_ttl`, `gone`, `unreachable`, …
        reason: &'a str,
    },
    /// A lease was revoked at the end of the attempt, or not.
    LeaseClosed {
        /// Its number.
        lease: u32,
        /// Whether Vault confirmed that it is dead.
        revoked: bool,
        /// A fixed word for the reason when not.
        reason: Option<&'a str>,
    },
    /// The authority was closed.
    AuthorityClosed {
        /// Whether everything was revoked.
        revoked: bool,
        /// A fixed word for the reason when not.
        #[serde(serialize_with = "bounded_option")]
        reason: Option<&'a str>,
        /// Vault's request id of the revocation.
        #[serde(serialize_with = "bounded_option")]
        vault_request_id: Option<&'a str>,
    },
    /// The service begins to use these grants.
    GrantsInUse {
        /// The digest of each grants file, by task.
        grants: BTreeMap<String, Digest>,
    },
    /// The service that was killed while this run was under way came back: nobody
    /// knows how far the run got.
    RunLost {
        /// Whether the sweep ended all that was left of its authority.
        swept: bool,
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
        #[serde(serialize_with = "bounded")]
        outcome: &'a str,
        /// Limits that bit.
        #[serde(serialize_with = "bounded_list")]
        limits: &'a [String],
        /// Exit code of the run.
        exit: u8,
        /// Who cancelled it, when it is cancelled: `caller`, `access`, `service`, `signal` or
        /// `lifeline`.
        #[serde(skip_serializing_if = "Option::is_none")]
        cancelled_by: Option<&'a str>,
    },
}

/// A text as it goes into the audit.
struct Bounded<'a>(&'a str);

impl Serialize for Bounded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        bounded(self.0, serializer)
    }
}

fn bounded<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    cut(text, MAX_TEXT, serializer)
}

fn long<S: Serializer>(text: &Option<&str>, serializer: S) -> Result<S::Ok, S::Error> {
    cut(text.unwrap_or_default(), MAX_STATEMENT, serializer)
}

fn cut<S: Serializer>(text: &str, most: usize, serializer: S) -> Result<S::Ok, S::Error> {
    if text.len() <= most {
        return serializer.serialize_str(text);
    }
    let kept = text.get(..text.floor_char_boundary(most)).unwrap_or("");
    let cut = text.len() - kept.len();
    serializer.collect_str(&format_args!("{kept}… ({cut} bytes cut)"))
}

fn bounded_option<S: Serializer>(text: &Option<&str>, serializer: S) -> Result<S::Ok, S::Error> {
    text.map(Bounded).serialize(serializer)
}

fn bounded_list<S: Serializer>(texts: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(texts.iter().map(|text| Bounded(text)))
}

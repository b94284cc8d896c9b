//! The frame of every capability call.
//!
//! ```text
//! match the grant → audit intent → use → audit outcome → closed result
//! ```
//!
//! A refusal before use is one intent with its decision. A call that was begun
//! always writes an outcome: its own, or `interrupted` when the attempt ends
//! while it is under way and the [`Call`] is dropped.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Attempt;
use super::bindings::cofferdam::capabilities::types::{Denial, Failure};
use super::credential::Current;
use crate::audit::{Decision, Event, OutcomeKind, Statement};
use crate::diagnostic::Diagnostic;
use crate::vault::{VaultError, VaultErrorKind};

/// The `audit-ref` of a refusal that could not be written to the audit, which
/// is itself the reason of the refusal or comes after the attempt's end.
const UNRECORDED: &str = "unrecorded";

/// Why a call got no result; the words of the WIT enum `denial`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    strum::Display,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DenialKind {
    /// No grant of this name and kind.
    NotGranted,
    /// The grant does not cover it.
    OutOfScope,
    /// The attempt's time is over, or its credential's.
    Expired,
    /// Vault does not honour the authority, or the attempt has ended.
    Revoked,
    /// A limit of the grants file.
    LimitReached,
    /// Malformed arguments.
    InvalidArgument,
    /// Vault cannot be used now.
    Unavailable,
    /// A fault of the host or of its configuration.
    Internal,
    /// A word that only a later version has: read, never said.
    #[serde(other)]
    Unknown,
}

/// A refusal before use, with a fixed word for the audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotGranted,
    OutOfScope(&'static str),
    Invalid(&'static str),
    LimitReached(&'static str),
}

/// A call that was begun: its intent stands in the audit.
pub(crate) struct Call {
    attempt: Arc<Attempt>,
    grant: Arc<str>,
    operation: &'static str,
    audit_ref: String,
    sequence: u64,
    begun: Instant,
    vault_request_ids: Vec<String>,
    detail: BTreeMap<&'static str, u64>,
    open: bool,
}

impl Attempt {
    /// Refuses a call before use: written to the audit and counted.
    pub(crate) fn refuse(
        &self,
        grant: &str,
        operation: &'static str,
        target: &str,
        refusal: Refusal,
    ) -> Failure {
        self.refuse_statement(grant, operation, target, None, refusal)
    }

    /// [`Attempt::refuse`], for a statement on a database.
    pub(crate) fn refuse_statement(
        &self,
        grant: &str,
        operation: &'static str,
        target: &str,
        statement: Option<&Statement<'_>>,
        refusal: Refusal,
    ) -> Failure {
        let (decision, kind, reason) = refusal.parts();
        self.ledger().denied(grant, operation, kind);
        if let Refusal::LimitReached(name) = refusal {
            self.ledger().limit(grant, name);
        }
        let audit_ref = self.record_intent(grant, operation, target, decision, reason, statement);
        match audit_ref {
            Some((text, _)) => failure(kind, text),
            None => failure(DenialKind::Internal, UNRECORDED.to_owned()),
        }
    }

    /// Whether the guest was refused so often that it may make no more calls: the
    /// engine ends it at the next one.
    pub(crate) fn is_out_of_refusals(&self) -> bool {
        self.ledger().is_spent()
    }

    /// Begins a call that the grant covers. Refused when the attempt is over
    /// and when the intent cannot be written.
    pub(crate) fn begin(
        self: &Arc<Self>,
        grant: &Arc<str>,
        operation: &'static str,
        target: &str,
    ) -> Result<Call, Failure> {
        self.begin_statement(grant, operation, target, None)
    }

    /// [`Attempt::begin`], for a statement on a database.
    pub(crate) fn begin_statement(
        self: &Arc<Self>,
        grant: &Arc<str>,
        operation: &'static str,
        target: &str,
        statement: Option<&Statement<'_>>,
    ) -> Result<Call, Failure> {
        let Some((audit_ref, sequence)) =
            self.record_intent(grant, operation, target, Decision::Allowed, None, statement)
        else {
            let kind = if self.ended() {
                DenialKind::Revoked
            } else {
                DenialKind::Internal
            };
            self.ledger().denied(grant, operation, kind);
            return Err(failure(kind, UNRECORDED.to_owned()));
        };
        self.ledger().called(grant, operation);
        let call = Call {
            attempt: self.clone(),
            grant: grant.clone(),
            operation,
            audit_ref,
            sequence,
            begun: Instant::now(),
            vault_request_ids: Vec::new(),
            detail: BTreeMap::new(),
            open: true,
        };
        if self.ended() {
            return Err(call.deny(DenialKind::Revoked, "attempt_ended"));
        }
        if Instant::now() >= self.parts().deadline {
            return Err(call.deny(DenialKind::Expired, "attempt_deadline"));
        }
        Ok(call)
    }

    /// Writes an intent; its reference and sequence, or nothing when it cannot
    /// be written or the audit is closed to this attempt.
    fn record_intent(
        &self,
        grant: &str,
        operation: &str,
        target: &str,
        decision: Decision,
        reason: Option<&str>,
        statement: Option<&Statement<'_>>,
    ) -> Option<(String, u64)> {
        if self.ended() {
            return None;
        }
        let target = self.audit_text(target);
        let event = Event::Intent {
            grant,
            operation,
            target: &target,
            decision,
            reason,
            statement,
        };
        match self.parts().recorder.record(&event) {
            Ok(written) => Some((written.to_string(), written.sequence())),
            Err(error) => {
                tracing::error!(%error, "the call is refused: its audit intent cannot be written");
                None
            }
        }
    }

    /// A text that the guest had a hand in, as the audit may hold it.
    pub(super) fn audit_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        // The audit cuts long texts after this: half a secret would not be recognised.
        self.parts().secrets.scrub_guest_text(text)
    }
}

impl Call {
    /// Notes under which id Vault audited a request that served the call.
    pub(crate) fn vault_request(&mut self, id: Option<String>) {
        self.vault_request_ids.extend(id);
    }

    /// Notes how a credential that serves the call was got.
    pub(crate) fn served_by(&mut self, current: &Current) {
        self.vault_request(current.request_id.clone());
        if current.is_cached {
            // The request was an earlier attempt's: Vault has no other.
            self.detail("cache_hit", 1);
        }
    }

    /// Notes a number worth keeping.
    pub(crate) fn detail(&mut self, name: &'static str, value: u64) {
        self.detail.insert(name, value);
    }

    /// A limit of the grant ended it.
    pub(crate) fn limit(&self, name: &'static str) {
        self.attempt.ledger().limit(&self.grant, name);
    }

    /// The effect took place.
    pub(crate) fn done(mut self) {
        self.close(OutcomeKind::Ok, None);
    }

    /// The effect took place; `note` says in a word what was special.
    pub(crate) fn done_with(mut self, note: &'static str) {
        self.close(OutcomeKind::Ok, Some(note));
    }

    /// It was tried and failed on the way. The reason is a fixed word, or one
    /// with a code of known shape.
    pub(crate) fn failed(mut self, reason: &str) {
        self.close(OutcomeKind::Failed, Some(reason));
    }

    /// It was refused after the intent.
    pub(crate) fn deny(mut self, kind: DenialKind, reason: &'static str) -> Failure {
        self.attempt
            .ledger()
            .denied(&self.grant, self.operation, kind);
        self.close(OutcomeKind::Denied, Some(reason));
        failure(kind, std::mem::take(&mut self.audit_ref))
    }

    /// Vault did not serve it. `invalid` is what a "malformed" of Vault means
    /// here: the guest's argument for a key, the host's own fault for a path.
    pub(crate) fn deny_by_vault(self, error: &VaultError, invalid: DenialKind) -> Failure {
        // VaultError's Display and hint carry no secret and no server text.
        let hint = error.hint().unwrap_or_default();
        tracing::warn!(%error, hint, grant = %self.grant, operation = self.operation, "vault did not serve a capability call");
        if let VaultError::Refused { path, .. } = error {
            let mut ledger = self.attempt.ledger();
            ledger.refused_by_vault(&self.grant, self.operation, path);
        }
        let (kind, reason) = match error.kind() {
            VaultErrorKind::Unavailable => (DenialKind::Unavailable, "vault_unavailable"),
            // The token lives: vault's policy is narrower than the grants.
            VaultErrorKind::Denied => (DenialKind::Internal, "vault_refused"),
            VaultErrorKind::NotFound => (DenialKind::Internal, "vault_not_found"),
            VaultErrorKind::Invalid => (invalid, "vault_invalid"),
            VaultErrorKind::Closed => (DenialKind::Revoked, "authority_closed"),
            VaultErrorKind::Configuration => (DenialKind::Internal, "vault_configuration"),
            VaultErrorKind::Internal => (DenialKind::Internal, "vault_protocol"),
            VaultErrorKind::Expired => (DenialKind::Expired, "lease_ended"),
            VaultErrorKind::Limit => (DenialKind::LimitReached, "leases"),
            VaultErrorKind::Engine => (DenialKind::Unavailable, "vault_engine"),
        };
        self.deny(kind, reason)
    }

    fn close(&mut self, outcome: OutcomeKind, reason: Option<&str>) {
        self.open = false;
        let event = Event::Outcome {
            of: self.sequence,
            outcome,
            reason,
            vault_request_ids: &self.vault_request_ids,
            detail: std::mem::take(&mut self.detail),
            micros: u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX),
        };
        if let Err(error) = self.attempt.parts().recorder.record(&event) {
            // The effect took place and cannot be taken back; the chain is
            // broken from here on, so every later intent is refused.
            tracing::error!(%error, "an audit outcome cannot be written");
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.open {
            self.close(OutcomeKind::Interrupted, None);
        }
    }
}

impl Refusal {
    fn parts(self) -> (Decision, DenialKind, Option<&'static str>) {
        match self {
            Self::NotGranted => (Decision::NotGranted, DenialKind::NotGranted, None),
            Self::OutOfScope(why) => (Decision::OutOfScope, DenialKind::OutOfScope, Some(why)),
            Self::Invalid(why) => (Decision::Invalid, DenialKind::InvalidArgument, Some(why)),
            Self::LimitReached(why) => {
                (Decision::LimitReached, DenialKind::LimitReached, Some(why))
            }
        }
    }
}

/// How a grant is named in audit and report: `kind.name`. A name that no grant
/// can have is not repeated, for the guest could put anything into it.
pub(crate) fn grant_label(kind: &str, name: &str) -> String {
    match name.parse::<crate::name::GrantName>() {
        Ok(name) => format!("{kind}.{name}"),
        Err(_) => format!("{kind}.?"),
    }
}

fn failure(kind: DenialKind, audit_ref: String) -> Failure {
    Failure {
        kind: match kind {
            DenialKind::NotGranted => Denial::NotGranted,
            DenialKind::OutOfScope => Denial::OutOfScope,
            DenialKind::Expired => Denial::Expired,
            DenialKind::Revoked => Denial::Revoked,
            DenialKind::LimitReached => Denial::LimitReached,
            DenialKind::InvalidArgument => Denial::InvalidArgument,
            DenialKind::Unavailable => Denial::Unavailable,
            // The host says no other words.
            DenialKind::Internal | DenialKind::Unknown => Denial::Internal,
        },
        retryable: kind == DenialKind::Unavailable,
        audit_ref,
    }
}

//! What the report tells of an attempt's capability calls.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::DenialKind;

/// Refusals that differ only in number, as one line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Denial {
    /// `http.billing`; a name that is not well-formed is shown as `http.?`.
    pub grant: String,
    /// `open`, `send`, `sign`, …
    pub operation: String,
    /// Why.
    pub decision: DenialKind,
    /// How often.
    pub count: u64,
}

/// A request that the grants cover and Vault refused to a token that lives: a
/// policy is narrower than the grants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct RefusedByVault {
    /// `http.billing`.
    pub grant: String,
    /// `send`, `sign`, …
    pub operation: Cow<'static, str>,
    /// The path in Vault's API, as a policy names it.
    pub path: String,
}

/// Distinct [`Denial`] lines kept for one attempt. The guest chooses the names
/// that it tries, so the list is bounded; the audit has them all.
const MAX_DENIALS: usize = 64;

/// Refusals of one attempt: with the last of them the guest has made its last call.
/// Each is a line of the audit, whose files nothing deletes, and costs a guest next to
/// nothing. A task that does its work is refused a few times, one that seeks what it
/// may do a few hundred times.
const MAX_REFUSALS: u64 = 1_000;

/// The limit of the attempt that a refusal can name.
pub(super) const HANDLES: &str = "handles";

/// The counters of one attempt.
#[derive(Default)]
pub(super) struct Ledger {
    denials: Vec<Denial>,
    unlisted: u64,
    refusals: u64,
    calls: Vec<(Arc<str>, &'static str, u64)>,
    limits: BTreeSet<String>,
    refused_by_vault: BTreeSet<RefusedByVault>,
}

impl Ledger {
    pub(super) fn denied(&mut self, grant: &str, operation: &str, decision: DenialKind) {
        // Who waits for Vault is not to blame, and is slow.
        self.refusals += u64::from(decision != DenialKind::Unavailable);
        let full = self.denials.len() >= MAX_DENIALS;
        let known = self.denials.iter_mut().find(|denial| {
            denial.grant == grant && denial.operation == operation && denial.decision == decision
        });
        match known {
            Some(denial) => denial.count += 1,
            None if !full => self.denials.push(Denial {
                grant: grant.to_owned(),
                operation: operation.to_owned(),
                decision,
                count: 1,
            }),
            None => self.unlisted += 1,
        }
    }

    /// Whether the guest was refused so often that it may make no more calls.
    pub(super) fn is_spent(&self) -> bool {
        self.refusals >= MAX_REFUSALS
    }

    /// Counts a call under a grant that exists, so the list is bounded by the grants file.
    pub(super) fn called(&mut self, grant: &Arc<str>, operation: &'static str) {
        let known = self
            .calls
            .iter_mut()
            .find(|(name, of, _)| *of == operation && name == grant);
        match known {
            Some((_, _, count)) => *count += 1,
            None => self.calls.push((grant.clone(), operation, 1)),
        }
    }

    /// A limit bit: one of the attempt by its name, one of a grant below the
    /// grant's. Bounded, since both are names of the grants file or our own.
    pub(super) fn limit(&mut self, grant: &str, name: &'static str) {
        self.limits.insert(match name {
            HANDLES => name.to_owned(),
            _ => format!("{grant}.{name}"),
        });
    }

    /// Vault refused a path, which comes from the grants, so the list is bounded.
    pub(super) fn refused_by_vault(&mut self, grant: &str, operation: &'static str, path: &str) {
        self.refused_by_vault.insert(RefusedByVault {
            grant: grant.to_owned(),
            operation: Cow::Borrowed(operation),
            path: path.to_owned(),
        });
    }

    pub(super) fn all_refused_by_vault(&self) -> Vec<RefusedByVault> {
        self.refused_by_vault.iter().cloned().collect()
    }

    pub(super) fn limits(&self) -> Vec<String> {
        self.limits.iter().cloned().collect()
    }

    pub(super) fn denials(&self) -> Vec<Denial> {
        self.denials.clone()
    }

    pub(super) fn unlisted(&self) -> u64 {
        self.unlisted
    }

    pub(super) fn calls(&self) -> BTreeMap<String, u64> {
        self.calls
            .iter()
            .map(|(grant, operation, count)| (format!("{grant}.{operation}"), *count))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_tries_names_does_not_grow_the_list() {
        let mut ledger = Ledger::default();
        for n in 0..1_000 {
            ledger.denied(&format!("http.g{n}"), "open", DenialKind::NotGranted);
        }
        ledger.denied("http.g0", "open", DenialKind::NotGranted);
        assert_eq!(ledger.denials().len(), MAX_DENIALS);
        assert_eq!(ledger.denials()[0].count, 2);
        assert_eq!(ledger.unlisted(), 1_000 - MAX_DENIALS as u64);
    }

    #[test]
    fn calls_are_counted_by_grant_and_operation() {
        let mut ledger = Ledger::default();
        let grant: Arc<str> = "keys.signer".into();
        ledger.called(&grant, "sign");
        ledger.called(&grant, "sign");
        ledger.called(&grant, "verify");
        let calls = ledger.calls();
        assert_eq!(calls["keys.signer.sign"], 2);
        assert_eq!(calls["keys.signer.verify"], 1);
    }
}

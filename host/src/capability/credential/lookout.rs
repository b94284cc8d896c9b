//! Writes what becomes of a lease in the background into the audit.

use std::sync::Arc;
use std::time::Duration;

use crate::audit::{Event, Recorder};
use crate::vault::LeaseWatcher;

/// The audit of one attempt, as its leases see it.
pub(super) struct Lookout(pub(super) Arc<Recorder>);

impl Lookout {
    pub(super) fn record(&self, event: &Event<'_>) {
        if let Err(error) = self.0.record(event) {
            // The chain is broken from here on, so every later intent is refused.
            tracing::error!(%error, "the life of a lease cannot be written to the audit");
        }
    }
}

impl LeaseWatcher for Lookout {
    fn renewed(&self, lease: u32, ttl: Duration, request_id: Option<&str>) {
        self.record(&Event::LeaseRenewed {
            lease,
            ttl: ttl.as_secs(),
            vault_request_id: request_id,
        });
    }

    fn given_up(&self, lease: u32, reason: &'static str) {
        self.record(&Event::LeaseGivenUp { lease, reason });
    }
}

//! The credentials of one attempt: each is asked for by one caller at a time
//! and forgotten when the attempt ends.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::Instrument as _;

use super::lookout::Lookout;
use super::slot::Slot;
use super::{CredentialSource, Current};
use crate::audit::Recorder;
use crate::lock::Mutex;
use crate::vault::{SessionHandle, VaultError};

/// The credentials that one attempt has.
pub(crate) struct Credentials {
    slots: Mutex<HashMap<CredentialSource, Arc<Slot>>>,
    lookout: Arc<Lookout>,
}

impl Credentials {
    /// None yet; leases are written to this audit.
    pub(crate) fn new(recorder: Arc<Recorder>) -> Self {
        Self {
            slots: Mutex::default(),
            lookout: Arc::new(Lookout(recorder)),
        }
    }

    /// The credential of a source when it may be used without asking Vault.
    pub(crate) fn known(&self, source: &CredentialSource) -> Option<Current> {
        self.slots.lock().get(source)?.known(source.refresh())
    }

    /// The credential of a source, asked for if need be. A failure is not
    /// remembered.
    pub(crate) async fn current(
        &self,
        session: &SessionHandle,
        source: &CredentialSource,
    ) -> Result<Current, VaultError> {
        let slot = Arc::clone(self.slots.lock().entry(source.clone()).or_default());
        if let Some(known) = slot.known(source.refresh()) {
            return Ok(known);
        }
        if !source.is_leased() {
            return slot.current(session, source, &self.lookout).await;
        }
        // A caller who gives up must not lose what Vault made: whoever comes
        // next would make another.
        let (session, source) = (session.clone(), source.clone());
        let lookout = Arc::clone(&self.lookout);
        let asking = async move { slot.current(&session, &source, &lookout).await };
        let asked = tokio::spawn(asking.in_current_span());
        asked.await.unwrap_or(Err(VaultError::Closed))
    }

    /// A server did not take the credential of this generation: Vault may have
    /// another by now. Whether it is asked for that reason.
    pub(crate) fn doubt(&self, source: &CredentialSource, generation: u64) -> bool {
        let slots = self.slots.lock();
        let slot = slots.get(source).filter(|_| source.may_change());
        slot.is_some_and(|slot| slot.doubt(generation))
    }

    /// Drops, and so zeroizes, everything.
    pub(crate) fn forget(&self) {
        self.slots.lock().clear();
    }

    /// Puts a secret in place as if it had been read.
    #[cfg(test)]
    pub(crate) fn plant(&self, source: &CredentialSource, fields: &[(&str, &str)]) {
        let fields = fields
            .iter()
            .map(|(name, value)| {
                let value = crate::secret::Secret::new(value.as_bytes());
                ((*name).to_owned(), value)
            })
            .collect();
        let slot = Arc::new(Slot::holding(fields));
        self.slots.lock().insert(source.clone(), slot);
    }
}

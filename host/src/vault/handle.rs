//! What the capabilities of an attempt may do in Vault.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::RwLock;

use super::VaultError;
use super::client::{Call, Reply};
use super::shared::Shared;
use crate::secret::Secret;

/// What a capability may do with the attempt's authority. Clones share it; it
/// is dead once the [`Session`](super::Session) is closed.
#[derive(Clone)]
pub struct SessionHandle(Arc<Attempt>);

struct Attempt {
    shared: Arc<Shared>,
    /// Taken out at the end, so that no forgotten handle keeps it.
    token: RwLock<Option<Secret>>,
    ends: Instant,
}

/// A value from Vault with the id under which Vault audited the request.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// The value.
    pub value: T,
    /// Vault's `request_id`.
    pub request_id: Option<String>,
}

impl SessionHandle {
    pub(super) fn new(shared: Arc<Shared>, token: Secret, ends: Instant) -> Self {
        Self(Arc::new(Attempt {
            shared,
            token: RwLock::new(Some(token)),
            ends,
        }))
    }

    /// Forgets the token. Calls under way keep it until they end.
    pub(super) fn end(&self) {
        self.0.token.write().take();
    }

    /// One request with the attempt's token. It changes nothing in Vault, so
    /// it may be repeated once.
    pub(super) async fn send(&self, call: &Call) -> Result<Reply, VaultError> {
        let token = self.0.token.read().clone().ok_or(VaultError::Closed)?;
        if Instant::now() >= self.0.ends {
            return Err(VaultError::Closed);
        }
        self.0
            .shared
            .client
            .send_idempotent(call, &token, self.0.ends)
            .await?
            .success()
    }
}

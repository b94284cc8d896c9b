//! What the capabilities of an attempt may do in Vault.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use super::VaultError;
use super::accessor::Accessor;
use super::client::{Call, Reply};
use super::logins::HostLogin;
use super::path::KvPath;
use super::reads::{Circle, KvRead};
use super::shared::Shared;
use crate::secret::Secret;

/// How long the question may take whether a refused token lives.
const LOOKUP: Duration = Duration::from_secs(2);

/// What a capability may do with the attempt's authority. Clones share it; it
/// is dead once the [`Session`](super::Session) is closed.
#[derive(Clone)]
pub struct SessionHandle(Arc<Attempt>);

struct Attempt {
    shared: Arc<Shared>,
    /// Taken out at the end, so that no forgotten handle keeps it.
    authority: RwLock<Option<Authority>>,
    ends: Instant,
    circle: Arc<Circle>,
}

/// The token, and what tells whether it lives.
#[derive(Clone)]
pub(super) struct Authority {
    pub(super) token: Secret,
    pub(super) accessor: Accessor,
    pub(super) login: Arc<HostLogin>,
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
    pub(super) fn new(
        shared: Arc<Shared>,
        authority: Authority,
        ends: Instant,
        circle: Circle,
    ) -> Self {
        Self(Arc::new(Attempt {
            shared,
            authority: RwLock::new(Some(authority)),
            ends,
            circle: Arc::new(circle),
        }))
    }

    /// Forgets the token. Calls under way keep it until they end.
    pub(super) fn end(&self) {
        self.0.authority.write().take();
    }

    /// One request with the attempt's token. It changes nothing in Vault, so
    /// it may be repeated once.
    pub(super) async fn send(&self, call: &Call) -> Result<Reply, VaultError> {
        let attempt = &self.0;
        let authority = self.authority()?;
        let shared = &attempt.shared;
        let reply = shared
            .client
            .send_idempotent(call, &authority.token, attempt.ends)
            .await?;
        if reply.status() == 403 {
            // Whatever was refused: what this task may do has changed.
            shared.reads.forget(&attempt.circle);
            // A dead token and a refusal are both 403. A lost answer to the
            // question leaves it a refusal.
            let (login, accessor) = (&authority.login, &authority.accessor);
            if let Ok(true) = shared.is_dead(login, accessor, LOOKUP).await {
                return Err(VaultError::Ended);
            }
        }
        reply.success()
    }

    /// Reads a KV secret, or takes what an attempt of the same circle read no
    /// longer than `age` ago. With an age of 0 it is always read.
    pub async fn kv_shared(&self, path: &KvPath, age: Duration) -> Result<KvRead, VaultError> {
        self.authority()?;
        let attempt = &self.0;
        let read = attempt
            .shared
            .reads
            .get(&attempt.circle, path, age, self.kv(path))
            .await?;
        // It may have waited: only a living attempt gets anything.
        self.authority()?;
        Ok(read)
    }

    /// The token, while the attempt lives.
    fn authority(&self) -> Result<Authority, VaultError> {
        if Instant::now() >= self.0.ends {
            return Err(VaultError::Closed);
        }
        (self.0.authority.read().clone()).ok_or(VaultError::Closed)
    }
}

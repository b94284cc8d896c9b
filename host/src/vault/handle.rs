//! What the capabilities of an attempt may do in Vault.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::VaultError;
use super::accessor::Accessor;
use super::client::{Call, Reply, RunTag};
use super::lease::LeaseBook;
use super::logins::HostLogin;
use super::path::KvPath;
use super::reads::{Circle, KvRead};
use super::revoke::{Found, Tie};
use super::shared::Shared;
use crate::lock::RwLock;
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
    /// Vault knows the token no more, so it is not asked again.
    dead: AtomicBool,
    leases: LeaseBook,
    ends: Instant,
    circle: Arc<Circle>,
}

/// The token, and what tells whether it lives.
#[derive(Clone)]
pub(super) struct Authority {
    pub(super) token: Secret,
    pub(super) accessor: Accessor,
    pub(super) tie: Tie,
    pub(super) login: Arc<HostLogin>,
    /// What its requests are marked with.
    pub(super) run: Option<RunTag>,
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
        leases: LeaseBook,
        ends: Instant,
        circle: Circle,
    ) -> Self {
        Self(Arc::new(Attempt {
            shared,
            authority: RwLock::new(Some(authority)),
            dead: AtomicBool::new(false),
            leases,
            ends,
            circle: Arc::new(circle),
        }))
    }

    /// Forgets the token and renews nothing any more. Calls under way keep the
    /// token until they end.
    pub(super) fn end(&self) {
        self.0.authority.write().take();
        self.0.leases.end();
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    pub(super) fn leases(&self) -> &LeaseBook {
        &self.0.leases
    }

    /// The authority, while the attempt lasts.
    pub(super) fn authority(&self) -> Result<Authority, VaultError> {
        let authority = self.0.authority.read().clone();
        let authority = authority.ok_or(VaultError::Closed)?;
        if self.0.dead.load(Ordering::Acquire) {
            return Err(VaultError::Ended);
        }
        if Instant::now() >= self.0.ends {
            return Err(VaultError::Closed);
        }
        Ok(authority)
    }

    /// One request with the attempt's token. It changes nothing in Vault, so
    /// it may be repeated.
    pub(super) async fn send(&self, call: Call) -> Result<Reply, VaultError> {
        let authority = self.authority()?;
        let client = &self.0.shared.client;
        let call = call.on_behalf_of(authority.run.as_ref());
        let sent = client.send_idempotent(&call, &authority.token, self.0.ends);
        self.judge(sent.await?, &authority).await
    }

    /// One request with the attempt's token that makes something, so it is
    /// sent once.
    pub(super) async fn send_once(
        &self,
        call: Call,
        authority: &Authority,
    ) -> Result<Reply, VaultError> {
        let client = &self.0.shared.client;
        let call = call.on_behalf_of(authority.run.as_ref());
        let sent = client.send_until(&call, Some(&authority.token), self.0.ends);
        self.judge(sent.await?, authority).await
    }

    /// The answer when it is a success. A dead token and a refusal are both
    /// 403; a lost answer to the question which leaves it a refusal.
    async fn judge(&self, reply: Reply, authority: &Authority) -> Result<Reply, VaultError> {
        if reply.status() == 403 {
            // Whatever was refused: what this task may do has changed.
            self.forget_shared();
            let (login, accessor) = (&authority.login, &authority.accessor);
            if login.has_ended() && authority.tie == Tie::DiesWithLogin {
                return Err(VaultError::Ended);
            }
            let run = authority.run.as_ref();
            let look_up = self.0.shared.look_up(login, accessor, run, LOOKUP);
            match look_up.await {
                Ok(Found::Nothing) => {
                    self.0.dead.store(true, Ordering::Release);
                    return Err(VaultError::Ended);
                }
                Ok(Found::LoginDead) => {
                    // Who needs a log-in next makes a fresh one, and nobody
                    // has to ask again.
                    login.set_ended();
                    if authority.tie == Tie::DiesWithLogin {
                        return Err(VaultError::Ended);
                    }
                }
                Ok(Found::Alive) | Err(_) => {}
            }
        }
        reply.success()
    }

    /// Attempts of this circle share nothing any more that was read so far.
    pub fn forget_shared(&self) {
        self.0.shared.reads.forget(&self.0.circle);
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
}

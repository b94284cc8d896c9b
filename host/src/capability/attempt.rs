//! What the capabilities of one attempt share.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::task::yield_now;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::Instrument as _;

use super::credential::Credentials;
use super::http::{HttpClients, RenderedCredentials};
use super::ledger::{Denial, Ledger, RefusedByVault};
use super::sql::{SqlServers, SqlSessions};
use super::{Pulse, TaskLog};
use crate::audit::Recorder;
use crate::grants::Grants;
use crate::identity::Identity;
use crate::lock::{Mutex, MutexGuard};
use crate::scrub::SecretSet;
use crate::share::Share;
use crate::vault::SessionHandle;

/// What is looked through on a worker in one go at most, in bytes: about 30 µs.
pub(super) const AT_ONCE: usize = 32 << 10;

/// One attempt, as its capabilities see it.
pub struct Attempt {
    parts: AttemptParts,
    ended: AtomicBool,
    credentials: Credentials,
    rendered: RenderedCredentials,
    sql: SqlSessions,
    ledger: Mutex<Ledger>,
    errands: TaskTracker,
    share: Share,
}

/// The parts of an [`Attempt`].
pub struct AttemptParts {
    /// What the task may do.
    pub grants: Arc<Grants>,
    /// Who runs it.
    pub identity: Identity,
    /// The audit of this run.
    pub recorder: Arc<Recorder>,
    /// The authority; none when no grant needs Vault.
    pub session: Option<SessionHandle>,
    /// The secrets in use.
    pub secrets: SecretSet,
    /// The process's HTTP clients and the destinations that none may reach.
    pub http: Arc<HttpClients>,
    /// The way to databases, and the servers that none may reach.
    pub sql: Arc<SqlServers>,
    /// When the attempt ends.
    pub deadline: Instant,
    /// The task's log.
    pub log: Arc<TaskLog>,
    /// Cancellation and heartbeat.
    pub pulse: Pulse,
}

impl Attempt {
    /// Puts an attempt together.
    pub fn new(parts: AttemptParts) -> Self {
        Self {
            credentials: Credentials::new(Arc::clone(&parts.recorder)),
            parts,
            ended: AtomicBool::new(false),
            rendered: RenderedCredentials::default(),
            sql: SqlSessions::default(),
            ledger: Mutex::default(),
            errands: TaskTracker::new(),
            share: Share::default(),
        }
    }

    /// The parts.
    pub fn parts(&self) -> &AttemptParts {
        &self.parts
    }

    /// What it has had of the runtime's threads, its errands with it.
    pub(crate) fn share(&self) -> &Share {
        &self.share
    }

    /// Before so many bytes of the guest's are looked through in one go: when that takes
    /// long, the guest goes on where it holds up nobody.
    pub(super) async fn before_work_on(&self, bytes: usize) {
        if bytes > AT_ONCE && !self.share.is_used_up() {
            self.share.use_up();
            yield_now().await;
        }
    }

    /// Does on a worker's stack what a guest waits for. The guest's own is kept for as
    /// long as it lives, and what was once touched of it stays in memory: HTTP clients
    /// go deep, and thousands may wait. Dropped, it is broken off.
    pub(super) async fn errand<T, W>(&self, begin: impl FnOnce() -> W + Send + 'static) -> T
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        // It is under way for as long as its value is in nobody's hands: to drop that may
        // write to the audit.
        let under_way = self.errands.token();
        let share = self.share.clone();
        // The future is made there too: it is large, and would be moved here by hand.
        let work = async move { (share.count(Box::pin(begin())).await, under_way) };
        let task = tokio::spawn(work.in_current_span());
        match AbortOnDropHandle::new(task).await {
            Ok((done, _)) => done,
            Err(broken) => match broken.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // Only the end of the runtime ends it while it is waited for.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Waits until nothing is done any more for a guest that is gone, and what was
    /// broken off is in the audit. Call it before [`Attempt::end`].
    pub async fn leave(&self) {
        self.errands.close();
        self.errands.wait().await;
    }

    /// Ends the attempt: credentials are forgotten, and a call through a handle
    /// that is still held is refused as `revoked` and writes nothing more. Call
    /// it once the store is dropped and before the audit is sealed.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.credentials.forget();
        self.rendered.forget();
    }

    /// Closes the connections to databases; what runs there is cancelled. Call
    /// it after [`Attempt::end`] and before leases are revoked. Bounded in time.
    pub async fn close_connections(&self) {
        self.sql.close_all().await;
    }

    /// What was refused, by grant, operation and reason; at most 64 lines.
    pub fn denials(&self) -> Vec<Denial> {
        self.ledger.lock().denials()
    }

    /// Refusals beyond the lines of [`Attempt::denials`]; the audit has them.
    pub fn unlisted_denials(&self) -> u64 {
        self.ledger.lock().unlisted()
    }

    /// What Vault refused although the grants cover it.
    pub fn refused_by_vault(&self) -> Vec<RefusedByVault> {
        self.ledger.lock().all_refused_by_vault()
    }

    /// Limits that refused a call: `handles`, `http.billing.max_request`, …
    pub fn limits(&self) -> Vec<String> {
        self.ledger.lock().limits()
    }

    /// Calls that the grants covered, by `kind.name.operation`.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.ledger.lock().calls()
    }

    pub(super) fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(super) fn rendered(&self) -> &RenderedCredentials {
        &self.rendered
    }

    pub(super) fn sql(&self) -> &SqlSessions {
        &self.sql
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock()
    }
}

//! The process's log-in: one, made when first needed, shared by everybody.
//!
//! It is renewed while the process lives. It is made again only when it seems
//! dead or cannot be renewed beyond the attempt that needs it. The old one then
//! stays until its last child is closed, because its end is theirs; nobody
//! renews it any more.
//!
//! "Seems", because a dead token and a refusal are both 403, and a proxy or a
//! changed policy may refuse everything: [`logout`](super::logout) makes sure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;
use vaultrs::api::token::requests::LookupTokenSelfRequest;

use super::VaultError;
use super::accessor::Accessor;
use super::auth::{Login, Method, Owner};
use super::client::{Call, RunTag};
use super::error::Operation;
use super::journal::{AuthorityKind, Entry, Keep};
use super::shared::Shared;
use crate::lock::Mutex;
use crate::scrub::SecretSet;
use crate::secret::Secret;

/// How long the intent of a log-in is kept when a kill hid its outcome. Such a
/// token was never used; it ends by the `token_ttl` of the log-in role, which
/// this host cannot know then. An hour is what the documentation asks for.
const IN_FLIGHT: Duration = Duration::from_secs(60 * 60);

/// How soon a log-in that replaced a dead one may be replaced in its turn.
/// Whoever meets a storm of refusals in between is refused too, and makes no
/// storm of log-ins.
const REPLACE_AGAIN: Duration = Duration::from_secs(10);

/// The log-ins of this process.
pub(super) struct Logins {
    method: Method,
    current: Option<Arc<HostLogin>>,
    /// Replaced, but perhaps with children or not certainly dead.
    retired: Vec<Arc<HostLogin>>,
    /// When a log-in last replaced one that seemed dead, or was refused.
    trouble: Option<Instant>,
    /// When a log-in last found no Vault, and how it ended.
    outage: Option<(Instant, VaultError)>,
    /// The life of the last log-in: no fresh one would live longer.
    life: Option<Duration>,
    closed: bool,
}

/// A log-in with its place in the journal.
pub(super) struct HostLogin {
    login: Login,
    /// None for a lent token and for one that is certainly dead.
    entry: Mutex<Option<Entry>>,
    /// It seems dead.
    ended: AtomicBool,
    /// When it ends; renewals put it off.
    ends: Mutex<Option<Instant>>,
    /// Renews it; stopped when it is replaced or dead.
    renewing: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Logins {
    pub(super) fn new(method: Method) -> Self {
        Self {
            method,
            current: None,
            retired: Vec::new(),
            trouble: None,
            outage: None,
            life: None,
            closed: false,
        }
    }

    /// Whether another log-in would most likely be as useless as the last one.
    fn are_in_trouble(&self) -> bool {
        self.trouble
            .is_some_and(|since| since.elapsed() < REPLACE_AGAIN)
    }

    /// Those that were replaced and have no children any more, and the current
    /// one, which may be needed to end them.
    pub(super) fn take_idle(&mut self) -> (Vec<Arc<HostLogin>>, Option<Arc<HostLogin>>) {
        let idle = (self.retired)
            .extract_if(.., |login| Arc::strong_count(login) == 1)
            .collect();
        (idle, self.current.clone())
    }

    /// Takes back one that could not be ended.
    pub(super) fn keep(&mut self, login: Arc<HostLogin>) {
        self.retired.push(login);
    }

    /// Ends the service: whoever asks from now on is refused.
    pub(super) fn close(&mut self) -> Vec<Arc<HostLogin>> {
        self.closed = true;
        let mut all = std::mem::take(&mut self.retired);
        all.extend(self.current.take());
        all
    }
}

impl HostLogin {
    fn new(login: Login, entry: Option<Entry>) -> Self {
        Self {
            ends: Mutex::new(login.ends),
            login,
            entry: Mutex::new(entry),
            ended: AtomicBool::new(false),
            renewing: Mutex::new(None),
        }
    }

    /// Whether asking for a later end can help.
    pub(super) fn is_renewable(&self) -> bool {
        self.login.renewable && self.is_ours() && !self.has_ended()
    }

    /// Notes a renewal.
    pub(super) fn set_ends(&self, ends: Instant) {
        *self.ends.lock() = Some(ends);
    }

    /// From now on somebody renews it.
    fn set_renewing(&self, task: tokio::task::JoinHandle<()>) {
        *self.renewing.lock() = Some(AbortOnDropHandle::new(task));
    }

    /// From now on nobody renews it.
    fn stop_renewing(&self) {
        self.renewing.lock().take();
    }

    /// The token, for one request.
    pub(super) fn token(&self) -> &Secret {
        &self.login.token
    }

    /// The time that it has left; `None` when it does not end.
    pub(super) fn left(&self) -> Option<Duration> {
        self.ends
            .lock()
            .map(|ends| ends.saturating_duration_since(Instant::now()))
    }

    /// True when this process has to end it.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.login.owner, Owner::Process(_))
    }

    /// What names it, when this process has to end it.
    pub(super) fn accessor(&self) -> Option<&Accessor> {
        match &self.login.owner {
            Owner::Process(accessor) => Some(accessor),
            Owner::Lender => None,
        }
    }

    /// True once it seems dead: Vault refuses it everything.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// True once it is certainly dead, and its children with it.
    pub(super) fn is_buried(&self) -> bool {
        self.has_ended() && self.entry.lock().is_none()
    }

    /// Notes that it seems dead. The journal keeps it.
    pub(super) fn set_ended(&self) {
        self.ended.store(true, Ordering::Release);
        self.stop_renewing();
    }

    /// Notes that it is certainly dead.
    pub(super) fn bury(&self) {
        self.set_ended();
        if let Some(entry) = self.entry.lock().take() {
            entry.done();
        }
    }

    /// Makes the scrubber know it.
    pub(super) fn reveal_to(&self, secrets: &SecretSet) {
        for secret in self.login.obtained_by.iter().chain([&self.login.token]) {
            // Credentials too short for the set are refused where they are read.
            if secrets.add_own(secret).is_err() {
                tracing::warn!("a log-in credential is too short to be kept out of output");
            }
        }
    }

    fn outlives(&self, needed: Duration) -> bool {
        !self.has_ended() && self.left().is_none_or(|left| left > needed)
    }
}

impl Shared {
    /// The log-in, made now if need be. Whoever asks meanwhile waits for the
    /// same one.
    pub(super) async fn login(
        self: &Arc<Self>,
        needed: Duration,
    ) -> Result<Arc<HostLogin>, VaultError> {
        let asked = Instant::now();
        let mut logins = self.logins.lock().await;
        let logins = &mut *logins;
        if logins.closed {
            return Err(VaultError::Closed);
        }
        if let Some(current) = &logins.current {
            if current.has_ended() && current.is_ours() && logins.are_in_trouble() {
                if !self.lives(current, None, self.config.timeout).await? {
                    return Err(VaultError::tokens_die_at_once());
                }
                // It only seemed dead.
                current.ended.store(false, Ordering::Release);
                if current.is_renewable() {
                    current.set_renewing(self.keep_alive(current));
                }
            }
            if current.outlives(needed) || self.extend(current, needed).await {
                return Ok(Arc::clone(current));
            }
            if let (Some(life), true) = (logins.life, current.is_ours())
                && life <= needed
            {
                return Err(too_short(life, needed));
            }
        }
        // Whoever waited for one that found no Vault has waited long enough.
        if let Some((since, error)) = &logins.outage
            && *since >= asked
            && let Some(same) = error.as_outage()
        {
            return Err(same);
        }
        let fresh = Arc::new(self.log_in(logins).await?);
        if let Some(old) = logins.current.replace(Arc::clone(&fresh)) {
            if old.has_ended() {
                logins.trouble = Some(Instant::now());
            }
            old.stop_renewing();
            if !old.is_buried() {
                logins.retired.push(old);
            }
        }
        if !fresh.outlives(needed) {
            self.extend(&fresh, needed).await;
        }
        logins.life = fresh.left();
        match fresh.left() {
            Some(left) if left <= needed => Err(too_short(left, needed)),
            _ => {
                if fresh.is_renewable() {
                    fresh.set_renewing(self.keep_alive(&fresh));
                }
                Ok(fresh)
            }
        }
    }

    /// Asks for a later end, if that can help; whether it is late enough then.
    async fn extend(&self, login: &HostLogin, needed: Duration) -> bool {
        if !login.is_renewable() {
            return false;
        }
        if let Err(error) = self.renew(login, Some(needed)).await {
            tracing::debug!(reason = error.reason(), "the log-in was not renewed");
        }
        login.outlives(needed)
    }

    /// A log-in after this one was found dead.
    pub(super) async fn login_after(
        self: &Arc<Self>,
        dead: &Arc<HostLogin>,
        needed: Duration,
    ) -> Result<Arc<HostLogin>, VaultError> {
        dead.set_ended();
        self.reads.clear();
        self.login(needed).await
    }

    /// A log-in beside the process's: for who ends that one by it. The caller
    /// ends it.
    pub(super) async fn log_in_beside(&self) -> Result<HostLogin, VaultError> {
        let mut logins = self.logins.lock().await;
        if logins.are_in_trouble() {
            return Err(VaultError::tokens_die_at_once());
        }
        self.log_in(&mut logins).await
    }

    async fn log_in(&self, logins: &mut Logins) -> Result<HostLogin, VaultError> {
        let made = self.make(&mut logins.method).await;
        self.counters.logged_in(made.is_ok());
        if matches!(made, Err(VaultError::LoginRefused { .. })) {
            logins.trouble = Some(Instant::now());
        }
        let outage = made.as_ref().err().and_then(VaultError::as_outage);
        logins.outage = outage.map(|error| (Instant::now(), error));
        made
    }

    async fn make(&self, method: &mut Method) -> Result<HostLogin, VaultError> {
        if !method.makes_a_token() {
            return Ok(HostLogin::new(method.log_in(&self.client).await?, None));
        }
        let id = Uuid::now_v7().to_string();
        let mut entry =
            self.journal
                .begin(self.intent(AuthorityKind::Login, id, None, IN_FLIGHT))?;
        let login = match method.log_in(&self.client).await {
            Ok(login) => login,
            Err(error) => {
                if !error.may_have_made_a_token() {
                    entry.done();
                }
                return Err(error);
            }
        };
        let written = match &login.owner {
            Owner::Process(accessor) => entry.made(accessor.clone(), Keep::OnDisk).synced().await,
            Owner::Lender => Ok(()),
        };
        let login = HostLogin::new(login, Some(entry));
        if let Err(error) = written {
            // Unwritten means unusable: a kill would leave it alive.
            self.end_login(&login).await?;
            return Err(error.into());
        }
        Ok(login)
    }

    /// Whether a host token lives: a dead token and a refusal are both 403. Asked
    /// for the run that was refused, if it was one.
    pub(super) async fn lives(
        &self,
        login: &HostLogin,
        run: Option<&RunTag>,
        limit: Duration,
    ) -> Result<bool, VaultError> {
        let call = Call::endpoint(Operation::Lookup, &LookupTokenSelfRequest {})?;
        let call = call.on_behalf_of(run);
        let reply = self.client.send_within(&call, login.token(), limit).await?;
        match reply.status() {
            403 => Ok(false),
            _ => reply.success().map(|_| true),
        }
    }
}

fn too_short(life: Duration, needed: Duration) -> VaultError {
    VaultError::LoginTooShort {
        login_seconds: life.as_secs(),
        needed_seconds: needed.as_secs(),
    }
}

//! Vault as this process uses it, and the owner of one attempt's authority.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument as _;

use super::accessor::Accessor;
use super::client::RunTag;
use super::config::{Addresses, VaultConfig};
use super::handle::{Authority, SessionHandle};
use super::identity::{Clock, JwtLogin};
use super::lease::{LeaseBook, LeaseCount, LeaseId};
use super::logins::HostLogin;
use super::openings::Opening;
use super::reads::Circle;
use super::revoke::{NO_TIME, Tie};
use super::shared::Shared;
use super::stats::LiveToken;
use super::sweep::SweepReport;
use super::{JournalError, VaultError, VaultErrorKind};
use crate::name::TaskName;
use crate::priority::on_the_pool;
use crate::scrub::SecretSet;

/// How long the end of the process waits for the sweep that its first attempt
/// started. What it does not reach is left for the next.
const SWEEP_WAIT: Duration = Duration::from_secs(5);

/// Why an end is not complete at which a credential was still being made.
const UNANSWERED: &str = "lease_unanswered";

/// Why an attempt's end is not complete that gave up its authority.
const UNFINISHED: &str = "unfinished";

/// Vault as this process uses it: one log-in, made when first needed.
#[derive(Clone)]
pub struct Vault(pub(super) Arc<Shared>);

/// What an attempt's authority is minted for.
#[derive(Debug, Clone)]
pub struct AttemptAuthority {
    /// Our id of the run (UUID).
    pub run: String,
    /// The task; the policy is `cofferdam-task-<task>`.
    pub task: TaskName,
    /// The attempt's time limit; the token's `explicit_max_ttl` is this plus a margin.
    pub deadline: Duration,
    /// Token metadata, in clear in Vault's audit.
    pub meta: BTreeMap<String, String>,
    /// With whom it may share what it reads.
    pub circle: Circle,
    /// How the attempt logs in as itself; a child of the host's log-in is
    /// minted for it when `None`.
    pub jwt: Option<JwtLogin>,
}

/// What kind of token an attempt has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum SessionKind {
    /// A child of the host's log-in.
    ChildToken,
    /// That of a log-in of the attempt's own.
    JwtLogin,
}

/// Who an attempt is to Vault, as Vault confirmed it; for the audit.
#[derive(Debug, Clone)]
pub struct VaultIdentity {
    /// What kind of token it has.
    pub session: SessionKind,
    /// All policies that it carries.
    pub policies: Vec<String>,
    /// The path of the role that it logged in to.
    pub role: Option<String>,
    /// The subject of its JWT, which names its alias.
    pub subject: Option<String>,
    /// The id of its entity.
    pub entity: Option<String>,
}

/// The owner of one attempt's authority. Closing it is the only way out: one
/// that is dropped leaves a live token and a record in the journal for the sweep.
pub struct Session {
    handle: SessionHandle,
    shared: Arc<Shared>,
    life: Duration,
    mint_request_id: Option<String>,
    policy_exists: bool,
    identity: VaultIdentity,
    open: Option<Open>,
}

/// What closing needs.
struct Open {
    login: Arc<HostLogin>,
    accessor: Accessor,
    tie: Tie,
    run: Option<RunTag>,
    live: LiveToken,
}

/// What became of an attempt's authority, or of the log-in.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// Everything is revoked.
    pub complete: bool,
    /// A fixed word for the reason when not: `unreachable`, `sealed`, `refused`, …
    pub reason: Option<&'static str>,
    /// Vault's request id of the revocation. OpenBao and Vault answer a
    /// revocation without a body, so usually there is none.
    pub request_id: Option<String>,
    /// What became of each lease of the attempt.
    pub leases: Vec<LeaseEnd>,
}

/// What became of one lease.
#[derive(Debug, Clone)]
pub struct LeaseEnd {
    /// Its number in the attempt, from 1.
    pub lease: u32,
    /// Why it may live, in a fixed word; none when it is dead.
    pub left: Option<&'static str>,
}

impl Revocation {
    /// Its leases in numbers; none when there were none.
    pub fn lease_count(&self) -> Option<LeaseCount> {
        let left = self.leases.iter().filter(|end| end.left.is_some()).count();
        (!self.leases.is_empty()).then(|| LeaseCount {
            revoked: self.leases.len() - left,
            left,
        })
    }

    /// Takes in what became of the leases that hung on a token.
    fn with(mut self, leases: Vec<LeaseEnd>) -> Self {
        let left = leases.iter().find_map(|end| end.left);
        self.complete &= left.is_none();
        self.reason = self.reason.or(left);
        self.leases = leases;
        self
    }

    /// The same, incomplete for this reason if for no other.
    fn but(mut self, reason: &'static str) -> Self {
        self.complete = false;
        self.reason.get_or_insert(reason);
        self
    }

    /// Nobody knows: the authority was given up while Vault was asked for it.
    pub(crate) fn unfinished() -> Self {
        Self {
            complete: false,
            reason: Some(UNFINISHED),
            request_id: None,
            leases: Vec::new(),
        }
    }

    /// Nothing was revoked: too many others are being revoked.
    fn out_of_time(leases: Vec<(u32, LeaseId)>) -> Self {
        let left = Some(NO_TIME);
        Self {
            complete: false,
            reason: left,
            request_id: None,
            leases: (leases.into_iter())
                .map(|(lease, _)| LeaseEnd { lease, left })
                .collect(),
        }
    }

    fn from(result: Result<Option<String>, VaultError>) -> Self {
        match result {
            Ok(request_id) => Self {
                complete: true,
                reason: None,
                request_id,
                leases: Vec::new(),
            },
            Err(error) => Self {
                complete: false,
                reason: Some(error.reason()),
                request_id: None,
                leases: Vec::new(),
            },
        }
    }

    /// Both must be complete; the first reason counts.
    fn and(mut self, other: Self) -> Self {
        self.leases.extend(other.leases);
        Self {
            complete: self.complete && other.complete,
            reason: self.reason.or(other.reason),
            request_id: self.request_id.or(other.request_id),
            leases: self.leases,
        }
    }
}

impl Vault {
    /// Prepares without contacting Vault. The journal is kept in the folder
    /// `journal` below `state`.
    ///
    /// # Errors
    /// Settings that cannot work: a `ca_file` without certificates.
    pub fn new(config: VaultConfig, state: &Path) -> Result<Self, VaultError> {
        Self::with_clock(config, state, Clock::default())
    }

    /// The same with a clock of one's own, which dates the JWTs of attempts
    /// that log in as themselves.
    ///
    /// # Errors
    /// As [`Vault::new`].
    pub fn with_clock(config: VaultConfig, state: &Path, clock: Clock) -> Result<Self, VaultError> {
        Ok(Self(Arc::new(Shared::new(config, state, clock)?)))
    }

    /// Vault's addresses, which no task may ever call.
    pub fn addresses(&self) -> &Addresses {
        &self.0.config.addresses
    }

    /// Opens the authority of one attempt: a child token, or a log-in of its
    /// own. The host logs in first when this is the first. The attempt's token,
    /// its JWT, the log-in's token and the secret-id go into `secrets`.
    ///
    /// # Errors
    /// Nothing usable is left behind: a token that is not exactly what was
    /// asked for is revoked before this returns.
    pub async fn open(
        &self,
        attempt: AttemptAuthority,
        secrets: &SecretSet,
    ) -> Result<Session, VaultError> {
        let opened = match &attempt.jwt {
            Some(jwt) => self.0.log_in_as(&attempt, jwt, secrets).await,
            None => self.0.mint(&attempt).await,
        };
        let minted = opened.inspect_err(|error| {
            if error.kind() != VaultErrorKind::Unavailable {
                self.0.reads.forget(&attempt.circle);
            }
        })?;
        minted.login.reveal_to(secrets);
        // The mint refused tokens that are too short for the set.
        let _ = secrets.add_own(&minted.token);
        Ok(Session {
            handle: SessionHandle::new(
                Arc::clone(&self.0),
                Authority {
                    token: minted.token,
                    accessor: minted.accessor.clone(),
                    tie: minted.tie,
                    login: Arc::clone(&minted.login),
                    run: minted.run.clone(),
                },
                LeaseBook::new(minted.entry, &self.0.counters),
                minted.ends,
                attempt.circle,
            ),
            shared: Arc::clone(&self.0),
            life: minted.life,
            mint_request_id: minted.request_id,
            identity: minted.identity,
            policy_exists: minted.policy_exists,
            open: Some(Open {
                login: minted.login,
                accessor: minted.accessor,
                tie: minted.tie,
                run: minted.run,
                live: self.0.counters.token(),
            }),
        })
    }

    /// The same, as something that can be given up in the middle: see
    /// [`Vault::leave`].
    pub fn opening(&self, attempt: AttemptAuthority, secrets: &SecretSet) -> Opening {
        let (vault, secrets) = (self.clone(), secrets.clone());
        let opening = async move { vault.open(attempt, &secrets).await };
        Box::pin(opening.in_current_span())
    }

    /// Nobody waits for this authority any more. It goes on by itself and is
    /// closed as soon as it is open; [`Vault::close`] waits for it for a moment.
    pub fn leave(&self, opening: Opening) {
        self.0.openings.leave(opening);
    }

    /// Revokes what dead processes left behind, and touches nobody who lives.
    ///
    /// # Errors
    /// Only when the journal's folder cannot be used; what happened to each
    /// token stands in the report.
    pub async fn sweep(&self) -> Result<SweepReport, VaultError> {
        self.0.sweep().await
    }

    /// Whether the journal can be written: tries to where it could not be before.
    ///
    /// # Errors
    /// When it still cannot.
    pub async fn probe_journal(&self) -> Result<(), JournalError> {
        if !self.0.journal.is_troubled() {
            return Ok(());
        }
        let shared = Arc::clone(&self.0);
        let probed = on_the_pool(move || shared.journal.probe()).await;
        // Else the runtime ends.
        probed.unwrap_or(Ok(()))
    }

    /// Ends the log-in of this process; `None` when there was none of its own
    /// to end. Close every session before: an attempt's token dies with the
    /// log-in. Clones refuse to open from now on.
    pub async fn close(self) -> Option<Revocation> {
        let sweeping = self.0.sweeping.lock().take();
        if let Some(mut task) = sweeping
            && tokio::time::timeout(SWEEP_WAIT, &mut task).await.is_err()
        {
            task.abort();
        }
        self.0.reads.clear();
        self.0.openings.end().await;
        let logins = self.0.logins.lock().await.close();
        let ended = self.0.end_logins(logins).await;
        self.0.journal.tidy();
        ended
            .into_iter()
            .map(Revocation::from)
            .reduce(Revocation::and)
    }
}

impl Session {
    /// A handle for the capabilities.
    pub fn handle(&self) -> SessionHandle {
        self.handle.clone()
    }

    /// Who the attempt is to Vault.
    pub fn identity(&self) -> &VaultIdentity {
        &self.identity
    }

    /// Vault's request id of the mint or the log-in.
    pub fn mint_request_id(&self) -> Option<&str> {
        self.mint_request_id.as_deref()
    }

    /// False when Vault said at the mint that it knows no policy of the task:
    /// then the attempt can do nothing.
    pub fn policy_exists(&self) -> bool {
        self.policy_exists
    }

    /// The `explicit_max_ttl` that Vault confirmed.
    pub fn explicit_max_ttl(&self) -> Duration {
        self.life
    }

    /// Revokes the authority: each lease, synchronously, then the token.
    /// Bounded in time; never fails silently. When it is not complete the
    /// journal keeps what is left for the next sweep.
    pub async fn close(mut self) -> Revocation {
        self.handle.end();
        let Some(mut open) = self.open.take() else {
            return Revocation::from(Err(VaultError::Closed));
        };
        let book = self.handle.leases();
        let answered = book.is_answered().await;
        let leases = book.all();
        let mut revocation = match self.shared.turns.wait().await {
            Some(_turn) => {
                let (shared, run) = (&self.shared, open.run.as_ref());
                let leases = shared.revoke_leases(&open.login, leases, run).await;
                let token = open.tie.of(&open.accessor);
                let result = shared.revoke(&mut open.login, token, run).await;
                Revocation::from(result).with(leases)
            }
            None => Revocation::out_of_time(leases),
        };
        if book.has_lost() {
            // Vault may have made what nobody can name, for a token that it ends.
            revocation = revocation.but(UNANSWERED);
        }
        if !answered {
            // Vault may be making it at this moment, for a token that it ends.
            // The book keeps the record, so that a late answer is noted there;
            // the last handle lets it go, for the sweep.
            revocation = revocation.but(UNANSWERED);
        } else if let Some(entry) = book.take_entry()
            && revocation.complete
        {
            // Dropped, it would stay for the sweep.
            entry.done();
        }
        book.forget();
        drop((open.login, open.live));
        self.shared.end_retired().await;
        revocation
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.open.is_some() {
            self.handle.end();
            // A forgotten handle must not keep its record from the sweep.
            self.handle.leases().take_entry();
            self.handle.leases().forget();
            tracing::error!("an attempt's authority was not closed; the next sweep revokes it");
        }
    }
}

//! Putting a lease's end off.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::IgnoredAny;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::{LeaseId, LeaseState};
use crate::vault::VaultError;
use crate::vault::client::{Call, RunTag};
use crate::vault::error::Operation;
use crate::vault::logins::HostLogin;
use crate::vault::revoke::Tie;
use crate::vault::schedule::Schedule;
use crate::vault::shared::Shared;

/// Who is told what becomes of a lease in the background. It is called on a
/// task of the host's own and must not wait.
pub trait LeaseWatcher: Send + Sync + 'static {
    /// The lease lives for this long from now.
    fn renewed(&self, lease: u32, ttl: Duration, request_id: Option<&str>);
    /// Nobody renews it any more, for this fixed word of a reason.
    fn given_up(&self, lease: u32, reason: &'static str);
}

/// The body of `sys/leases/renew`.
#[derive(Serialize)]
struct Body<'a> {
    lease_id: &'a str,
    /// Seconds from now. Vault never gives more than the role's `max_ttl`.
    increment: u64,
}

/// What Vault says to a renewal.
enum Renewed {
    /// It lives for so long.
    For(Duration, Option<String>),
    /// It ends at its time.
    NoMore,
    /// It is gone.
    Gone,
}

/// The renewals of one lease.
pub(super) struct Renewal {
    pub(super) shared: Weak<Shared>,
    pub(super) login: Weak<HostLogin>,
    pub(super) run: Option<RunTag>,
    /// What becomes of the lease when that log-in ends.
    pub(super) tie: Tie,
    pub(super) id: LeaseId,
    pub(super) lease: u32,
    pub(super) state: LeaseState,
    /// What was granted first, and is asked for again.
    pub(super) life: Duration,
    pub(super) schedule: Schedule,
    pub(super) watcher: Arc<dyn LeaseWatcher>,
}

impl Renewal {
    /// Renews in the background until the value is dropped. Holds neither the
    /// log-in nor the process's state meanwhile.
    pub(super) fn start(self) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(self.run().in_current_span()))
    }

    async fn run(mut self) {
        let reason = loop {
            let Some(pause) = self.schedule.pause(self.state.left()) else {
                break "max_ttl";
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.state.doubted() => {}
            }
            let Some(shared) = self.shared.upgrade() else {
                return;
            };
            let asked = Instant::now();
            let renewed = match (self.login.upgrade(), self.tie) {
                (Some(login), _) => self.renew(&shared, login).await,
                // Replaced and ended meanwhile, and the lease is none of its own.
                (None, Tie::Outlives) => match shared.login(Duration::ZERO).await {
                    Ok(login) => self.renew(&shared, login).await,
                    Err(error) => Err(error),
                },
                (None, Tie::DiesWithLogin) => return,
            };
            match renewed {
                Ok(Renewed::For(ttl, request_id)) => {
                    self.schedule.granted(ttl);
                    self.state.set_renewed(asked + ttl, self.schedule.grace());
                    self.watcher.renewed(self.lease, ttl, request_id.as_deref());
                }
                Ok(Renewed::NoMore) => break "not_renewable",
                Ok(Renewed::Gone) => {
                    self.state.set_dead();
                    break "gone";
                }
                Err(error) => {
                    let again = self.schedule.failed();
                    let (reason, failures) = (error.reason(), self.schedule.failures());
                    tracing::warn!(reason, failures, "a lease was not renewed");
                    if !again {
                        break reason;
                    }
                }
            }
        };
        self.state.set_unrenewed();
        self.watcher.given_up(self.lease, reason);
    }

    /// Asks once, with this log-in or the one that took its place.
    async fn renew(
        &mut self,
        shared: &Arc<Shared>,
        mut login: Arc<HostLogin>,
    ) -> Result<Renewed, VaultError> {
        let (of, life, tie) = ((&self.id, self.run.as_ref()), self.life, self.tie);
        let renewed = shared.renew_lease(&mut login, tie, of, life).await;
        self.login = Arc::downgrade(&login);
        renewed
    }
}

impl Shared {
    /// Asks Vault once for a later end of a lease; when the log-in is found
    /// dead and the lease outlives it, once more with a fresh one.
    async fn renew_lease(
        self: &Arc<Self>,
        login: &mut Arc<HostLogin>,
        tie: Tie,
        (id, run): (&LeaseId, Option<&RunTag>),
        life: Duration,
    ) -> Result<Renewed, VaultError> {
        let body = Body {
            lease_id: id.expose(),
            increment: life.as_secs(),
        };
        let call = Call::with_body(
            Operation::RenewLease,
            http::Method::POST,
            "sys/leases/renew",
            &body,
        )?
        .on_behalf_of(run);
        let limit = self.config.timeout;
        let mut logged_in_again = false;
        let reply = loop {
            if login.has_ended() && tie == Tie::Outlives {
                if logged_in_again {
                    return Err(VaultError::tokens_die_at_once());
                }
                logged_in_again = true;
                *login = self.login_after(login, Duration::ZERO).await?;
            }
            let reply = self.client.send_within(&call, login.token(), limit).await?;
            if reply.status() != 403 || self.lives(login, run, limit).await? {
                break reply;
            }
            login.set_ended();
            if tie == Tie::DiesWithLogin {
                // Its children died with it, and their leases with them.
                return Ok(Renewed::Gone);
            }
            // The lease hangs on the attempt's own token, which may well live.
        };
        if reply.status() == 400 {
            // Fixed texts of both servers. An engine that failed is a 400 too.
            if ["lease not found", "lease expired", "invalid lease"]
                .iter()
                .any(|text| reply.says(text))
            {
                return Ok(Renewed::Gone);
            }
            if ["lease is not renewable", "past the max TTL"]
                .iter()
                .any(|text| reply.says(text))
            {
                return Ok(Renewed::NoMore);
            }
        }
        let envelope = reply.success()?.envelope::<IgnoredAny>()?;
        let request_id = envelope.request_id();
        Ok(match envelope.lease_duration {
            0 => Renewed::NoMore,
            seconds => Renewed::For(Duration::from_secs(seconds), request_id),
        })
    }
}

//! Putting a lease's end off.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::IgnoredAny;
use tokio_util::task::AbortOnDropHandle;

use super::{LeaseId, LeaseState};
use crate::vault::VaultError;
use crate::vault::client::Call;
use crate::vault::error::Operation;
use crate::vault::logins::HostLogin;
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
        AbortOnDropHandle::new(tokio::spawn(self.run()))
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
            let (Some(shared), Some(login)) = (self.shared.upgrade(), self.login.upgrade()) else {
                return;
            };
            let asked = Instant::now();
            match shared.renew_lease(&login, &self.id, self.life).await {
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
}

impl Shared {
    /// Asks Vault once for a later end of a lease.
    async fn renew_lease(
        &self,
        login: &HostLogin,
        id: &LeaseId,
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
        )?;
        let limit = self.config.timeout;
        let reply = self.client.send_within(&call, login.token(), limit).await?;
        if reply.status() == 403 && !self.lives(login, limit).await? {
            // Its children died with it, and their leases with them.
            login.set_ended();
            return Ok(Renewed::Gone);
        }
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

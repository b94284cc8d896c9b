//! Putting the end of the process's log-in off.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinHandle;

use super::VaultError;
use super::client::Call;
use super::error::Operation;
use super::logins::HostLogin;
use super::schedule::Schedule;
use super::shared::Shared;

/// The body of `auth/token/renew-self`.
#[derive(Serialize)]
struct Body {
    /// Seconds from now; Vault gives its own default without it, and never
    /// more than the role's `token_max_ttl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    increment: Option<String>,
}

impl Shared {
    /// Asks Vault once for a later end of the log-in, at least `wanted` away.
    pub(super) async fn renew(
        &self,
        login: &HostLogin,
        wanted: Option<Duration>,
    ) -> Result<(), VaultError> {
        let renewed = self.ask_to_renew(login, wanted).await;
        self.counters.renewed(renewed.is_ok());
        renewed
    }

    async fn ask_to_renew(
        &self,
        login: &HostLogin,
        wanted: Option<Duration>,
    ) -> Result<(), VaultError> {
        let call = Call::with_body(
            Operation::Renew,
            http::Method::POST,
            "auth/token/renew-self",
            &Body {
                // A second more than is needed, because whole seconds count.
                increment: wanted.map(|wanted| format!("{}s", wanted.as_secs() + 2)),
            },
        )?;
        let asked = Instant::now();
        let limit = self.config.timeout;
        let reply = self.client.send_within(&call, login.token(), limit).await?;
        if reply.status() == 403 && !self.lives(login, None, limit).await? {
            login.set_ended();
            self.reads.clear();
            return Err(VaultError::Ended);
        }
        let auth = reply
            .success()?
            .envelope::<serde::de::IgnoredAny>()?
            .auth
            .ok_or(VaultError::Protocol {
                operation: Operation::Renew,
                fault: "it holds no token",
            })?;
        if auth.lease_duration > 0 {
            login.set_ends(asked + Duration::from_secs(auth.lease_duration));
        }
        Ok(())
    }

    /// Renews the log-in until it is replaced, dead, or cannot be renewed any
    /// more. Holds neither the log-in nor the process's state.
    pub(super) fn keep_alive(self: &Arc<Self>, login: &Arc<HostLogin>) -> JoinHandle<()> {
        let (shared, login) = (Arc::downgrade(self), Arc::downgrade(login));
        tokio::spawn(renew_for_ever(shared, login))
    }
}

/// Once it is given up the log-in ends at its time, and whoever needs one makes
/// a fresh one.
async fn renew_for_ever(shared: Weak<Shared>, login: Weak<HostLogin>) {
    let left = || login.upgrade().and_then(|login| login.left());
    let Some(mut schedule) = left().map(Schedule::new) else {
        return;
    };
    while let Some(pause) = left().and_then(|left| schedule.pause(left)) {
        tokio::time::sleep(pause).await;
        let (Some(shared), Some(login)) = (shared.upgrade(), login.upgrade()) else {
            return;
        };
        if login.has_ended() {
            return;
        }
        match shared.renew(&login, None).await {
            Ok(()) => schedule.granted(login.left().unwrap_or_default()),
            Err(error) => {
                let again = schedule.failed();
                let (reason, failures) = (error.reason(), schedule.failures());
                tracing::warn!(reason, failures, "the log-in was not renewed");
                if !again || matches!(error, VaultError::Ended) {
                    return;
                }
            }
        }
    }
}

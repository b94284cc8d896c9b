//! Putting the end of the process's log-in off.
//!
//! The schedule is that of Vault's own lifetime watcher: sleep two thirds of
//! what is left plus a third of a random grace, and stop once the rest is
//! within the grace. Its endless repetition after errors is left out.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rand::Rng;
use serde::Serialize;
use tokio::task::JoinHandle;

use super::VaultError;
use super::client::{Call, jittered};
use super::error::Operation;
use super::logins::HostLogin;
use super::shared::Shared;

/// The part of what is left in which nobody renews any more.
const GRACE: std::ops::Range<f64> = 0.1..0.2;

/// No renewal more often than this: a log-in that lives shorter is made anew.
const MIN_SLEEP: Duration = Duration::from_secs(1);

/// The wait after a failure, before jitter; it doubles up to [`MAX_BACKOFF`].
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
const MAX_BACKOFF: Duration = Duration::from_secs(5 * 60);

/// Failures in a row until it is given up. Then the log-in ends at its time,
/// and whoever needs one makes a fresh one.
const MAX_FAILURES: u32 = 8;

/// The body of `auth/token/renew-self`.
#[derive(Serialize)]
struct Body {
    /// Seconds from now; Vault gives its own default without it, and never
    /// more than the role's `token_max_ttl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    increment: Option<String>,
}

/// When to renew what has this left; none when it is too late.
fn sleep(left: Duration, random: f64) -> Option<Duration> {
    let grace = left.mul_f64(random);
    let sleep = left.mul_f64(2.0 / 3.0) + grace / 3;
    (sleep >= MIN_SLEEP).then_some(sleep)
}

impl Shared {
    /// Asks Vault once for a later end of the log-in, at least `wanted` away.
    pub(super) async fn renew(
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
        if reply.status() == 403 && !self.lives(login, limit).await? {
            login.set_ended();
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

async fn renew_for_ever(shared: Weak<Shared>, login: Weak<HostLogin>) {
    let mut failures = 0;
    let mut backoff = FIRST_BACKOFF;
    loop {
        let Some(left) = login.upgrade().and_then(|login| login.left()) else {
            return;
        };
        let pause = match failures {
            0 => sleep(left, rand::rng().random_range(GRACE)),
            _ => Some(jittered(backoff)).filter(|pause| *pause < left),
        };
        let Some(pause) = pause else {
            return;
        };
        tokio::time::sleep(pause).await;
        let (Some(shared), Some(login)) = (shared.upgrade(), login.upgrade()) else {
            return;
        };
        if login.has_ended() {
            return;
        }
        match shared.renew(&login, None).await {
            Ok(()) => {
                failures = 0;
                backoff = FIRST_BACKOFF;
            }
            Err(error) => {
                failures += 1;
                let reason = error.reason();
                tracing::warn!(reason, failures, "the log-in was not renewed");
                if failures >= MAX_FAILURES || matches!(error, VaultError::Ended) {
                    return;
                }
                if failures > 1 {
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renews_after_two_thirds_and_stops_when_renewals_give_nothing() {
        for random in [0.1, 0.15, 0.2] {
            let hour = Duration::from_secs(3600);
            let first = sleep(hour, random).expect("plenty left").as_secs_f64();
            assert!((0.69..0.74).contains(&(first / 3600.0)), "{first}");
            // Without a later end each sleep is a third of the one before.
            let (mut left, mut calls) = (hour, 0);
            while let Some(pause) = sleep(left, random) {
                left -= pause;
                calls += 1;
            }
            assert!((4..=8).contains(&calls), "{calls}");
        }
    }
}

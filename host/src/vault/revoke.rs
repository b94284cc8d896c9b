//! Ending tokens and leases, and knowing that they ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};
use serde::Serialize;
use vaultrs::api::token::requests::{LookupTokenAccessorRequest, RevokeTokenAccessorRequest};

use super::VaultError;
use super::accessor::Accessor;
use super::client::{Call, Reply, RunTag, jittered};
use super::error::{Operation, VaultErrorKind};
use super::lease::LeaseId;
use super::logins::HostLogin;
use super::session::LeaseEnd;
use super::shared::Shared;
use crate::lock::Mutex;

/// How often a revocation is tried.
const TRIES: u32 = 3;

/// How long all tries may take together: an attempt's end must not hang on a
/// server that is away, and the journal remembers what is left.
pub(super) const TOTAL: Duration = Duration::from_secs(5);

/// How long one request of it may take, so that a second try fits.
const ONE: Duration = Duration::from_secs(2);

/// The wait before the second try; four times that before the third.
const FIRST_WAIT: Duration = Duration::from_millis(150);

/// Leases of one attempt that are revoked at the same time. Each may take the
/// database behind Vault as long as a log-in does.
const LEASES_AT_ONCE: usize = 8;

/// How long all leases of one attempt may take together. What is not reached
/// is left to the end of the token and to the sweep.
pub(super) const LEASES_TOTAL: Duration = Duration::from_secs(10);

/// What becomes of a token when the log-in that revokes it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tie {
    /// It is a child of that log-in, and ends with it.
    DiesWithLogin,
    /// It is nobody's child, or that of another process.
    Outlives,
}

impl Tie {
    /// The token as what is to end.
    pub(super) fn of(self, accessor: &Accessor) -> Target<'_> {
        match self {
            Self::DiesWithLogin => Target::Child(accessor),
            Self::Outlives => Target::Token(accessor),
        }
    }
}

/// Why something was not revoked whose turn did not come.
pub(super) const NO_TIME: &str = "no_time";

/// What is to end.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// A child of the log-in that ends it.
    Child(&'a Accessor),
    /// Any other token.
    Token(&'a Accessor),
    /// A lease, and before Vault answers what it stands for.
    Lease(&'a LeaseId),
}

/// The body of `sys/leases/revoke`.
#[derive(Serialize)]
struct LeaseBody<'a> {
    lease_id: &'a str,
    sync: bool,
}

/// What one try showed.
enum Verdict {
    /// It is dead; the request id when Vault gave one.
    Dead(Option<String>),
    /// The host's own token is dead.
    LoginDead,
}

/// What a lookup by accessor showed.
pub(super) enum Found {
    /// It lives, or that cannot be told.
    Alive,
    /// Vault knows no such token.
    Nothing,
    /// The host's own token seems dead.
    LoginDead,
}

/// The tries and the time that a revocation has left.
pub(super) struct Patience {
    deadline: Instant,
    tries: u32,
    wait: Duration,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self {
            deadline: Instant::now() + TOTAL,
            tries: TRIES,
            wait: FIRST_WAIT,
        }
    }

    /// The limit of the next request.
    pub(super) fn limit(&self) -> Duration {
        self.deadline
            .saturating_duration_since(Instant::now())
            .min(ONE)
    }

    /// Waits before the next try; the error comes back when there is none.
    pub(super) async fn after(&mut self, error: VaultError) -> Result<(), VaultError> {
        self.tries -= 1;
        let mut wait = jittered(self.wait);
        if let VaultError::Overloaded {
            retry_after: Some(asked),
            ..
        } = &error
        {
            wait = wait.max(*asked + jittered(FIRST_WAIT));
        }
        if error.kind() != VaultErrorKind::Unavailable
            || self.tries == 0
            || Instant::now() + wait >= self.deadline
        {
            return Err(error);
        }
        tokio::time::sleep(wait).await;
        self.wait *= 4;
        Ok(())
    }
}

impl Shared {
    /// Ends a token or a lease, for a run or (none) for the process itself.
    /// Success means that Vault confirmed it, or knows no such thing any more.
    pub(super) async fn revoke(
        self: &Arc<Self>,
        login: &mut Arc<HostLogin>,
        target: Target<'_>,
        run: Option<&RunTag>,
    ) -> Result<Option<String>, VaultError> {
        let mut patience = Patience::new();
        let mut logged_in_again = false;
        loop {
            if login.has_ended() && !logged_in_again {
                // Somebody found it dead: its children are dead too, but ask.
                logged_in_again = true;
                *login = match self.login_after(login, Duration::ZERO).await {
                    // This process ended it itself, and its children with it:
                    // the role makes no orphans, the mint's answer was compared.
                    // Leases follow in Vault's own time, so they are not sure.
                    Err(VaultError::Closed)
                        if login.is_buried() && matches!(target, Target::Child(_)) =>
                    {
                        return Ok(None);
                    }
                    fresh => fresh?,
                };
            }
            let tried = match target {
                Target::Child(accessor) | Target::Token(accessor) => {
                    self.try_revoke(login, accessor, run, patience.limit())
                        .await
                }
                Target::Lease(id) => {
                    self.try_revoke_lease(login, id, run, patience.limit())
                        .await
                }
            };
            match tried {
                Ok(Verdict::Dead(request_id)) => return Ok(request_id),
                Ok(Verdict::LoginDead) if !logged_in_again => {
                    logged_in_again = true;
                    *login = self.login_after(login, Duration::ZERO).await?;
                }
                Ok(Verdict::LoginDead) => {
                    return Err(VaultError::tokens_die_at_once());
                }
                Err(error) => patience.after(error).await?,
            }
        }
    }

    async fn try_revoke(
        &self,
        login: &HostLogin,
        accessor: &Accessor,
        run: Option<&RunTag>,
        limit: Duration,
    ) -> Result<Verdict, VaultError> {
        let call = Call::endpoint(
            Operation::Revoke,
            &RevokeTokenAccessorRequest {
                accessor: accessor.expose().to_owned(),
            },
        )?;
        let call = call.on_behalf_of(run);
        let reply = self.client.send_within(&call, login.token(), limit).await?;
        if unknown(&reply) {
            return Ok(Verdict::Dead(None));
        }
        if !matches!(reply.status(), 400 | 403 | 404) {
            // OpenBao: 204 for a token that it just ended, 200 with a warning
            // for an accessor that it does not know. Both are dead.
            return reply.confirmed().map(Verdict::Dead);
        }
        if reply.status() == 403 && !self.lives(login, run, limit).await? {
            return Ok(Verdict::LoginDead);
        }
        // A refusal, or a server that words an unknown accessor differently.
        match self.look_up(login, accessor, run, limit).await? {
            Found::Nothing => Ok(Verdict::Dead(None)),
            Found::LoginDead => Ok(Verdict::LoginDead),
            Found::Alive => reply.confirmed().map(Verdict::Dead),
        }
    }

    async fn try_revoke_lease(
        &self,
        login: &HostLogin,
        id: &LeaseId,
        run: Option<&RunTag>,
        limit: Duration,
    ) -> Result<Verdict, VaultError> {
        let body = LeaseBody {
            lease_id: id.expose(),
            sync: true,
        };
        let call = Call::with_body(
            Operation::RevokeLease,
            http::Method::POST,
            "sys/leases/revoke",
            &body,
        )?;
        let call = call.on_behalf_of(run);
        let reply = self.client.send_within(&call, login.token(), limit).await?;
        // OpenBao and Vault say 204 for a lease that they do not know.
        if reply.status() == 400 && reply.says("failed to revoke entry") {
            return Err(VaultError::LeaseStays);
        }
        if reply.status() == 403 && !self.lives(login, run, limit).await? {
            return Ok(Verdict::LoginDead);
        }
        reply.confirmed().map(Verdict::Dead)
    }

    /// Ends the leases of one attempt. Once Vault is away, asking again for
    /// each would only take time.
    pub(super) async fn revoke_leases(
        self: &Arc<Self>,
        login: &Arc<HostLogin>,
        leases: Vec<(u32, LeaseId)>,
        run: Option<&RunTag>,
    ) -> Vec<LeaseEnd> {
        let until = Instant::now() + LEASES_TOTAL;
        let away = Mutex::new(None);
        let ends = leases.into_iter().map(async |(lease, id)| {
            let away_for = *away.lock();
            let left = if away_for.is_some() {
                away_for
            } else if Instant::now() >= until {
                Some(NO_TIME)
            } else {
                let mut login = Arc::clone(login);
                let revoked = self.revoke(&mut login, Target::Lease(&id), run).await;
                revoked.err().map(|error| {
                    if error.kind() == VaultErrorKind::Unavailable {
                        away.lock().get_or_insert(error.reason());
                    }
                    error.reason()
                })
            };
            if let Some(reason) = left {
                tracing::warn!(lease, reason, "a lease could not be revoked");
            }
            LeaseEnd { lease, left }
        });
        stream::iter(ends).buffered(LEASES_AT_ONCE).collect().await
    }

    /// Whether Vault knows a token.
    pub(super) async fn look_up(
        &self,
        login: &HostLogin,
        accessor: &Accessor,
        run: Option<&RunTag>,
        limit: Duration,
    ) -> Result<Found, VaultError> {
        let call = Call::endpoint(
            Operation::Lookup,
            &LookupTokenAccessorRequest {
                accessor: accessor.expose().to_owned(),
            },
        )?;
        let call = call.on_behalf_of(run);
        let reply = self.client.send_within(&call, login.token(), limit).await?;
        if unknown(&reply) {
            return Ok(Found::Nothing);
        }
        if reply.status() == 403 && !self.lives(login, run, limit).await? {
            return Ok(Found::LoginDead);
        }
        Ok(Found::Alive)
    }
}

/// OpenBao says 400 for an accessor that names no token, Vault 403 or, in later
/// versions, 404. Only the text counts: a plain refusal has another one, and a
/// status alone may come from anything that stands before Vault.
pub(super) fn unknown(reply: &Reply) -> bool {
    matches!(reply.status(), 400 | 403 | 404) && reply.says("invalid accessor")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overloaded() -> VaultError {
        VaultError::Overloaded {
            operation: Operation::Revoke,
            status: 500,
            retry_after: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let mut patience = Patience::new();
        assert!(patience.after(overloaded()).await.is_ok());
        assert!(patience.after(overloaded()).await.is_ok());
        assert!(patience.after(overloaded()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_is_honoured_when_there_is_time_for_it() {
        let limited = |seconds| VaultError::Overloaded {
            operation: Operation::Revoke,
            status: 429,
            retry_after: Some(Duration::from_secs(seconds)),
        };
        let begun = tokio::time::Instant::now();
        assert!(Patience::new().after(limited(1)).await.is_ok());
        assert!(begun.elapsed() >= Duration::from_secs(1));
        assert!(Patience::new().after(limited(3600)).await.is_err());
    }

    #[tokio::test]
    async fn a_refusal_is_not_tried_again() {
        let refused = VaultError::Refused {
            operation: Operation::Revoke,
            path: String::new(),
        };
        assert!(Patience::new().after(refused).await.is_err());
    }
}

//! Ending tokens, and knowing that they ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vaultrs::api::token::requests::{LookupTokenAccessorRequest, RevokeTokenAccessorRequest};

use super::VaultError;
use super::accessor::Accessor;
use super::client::{Call, Reply, jittered};
use super::error::{Operation, VaultErrorKind};
use super::logins::HostLogin;
use super::shared::Shared;

/// How often a revocation is tried.
const TRIES: u32 = 3;

/// How long all tries may take together: an attempt's end must not hang on a
/// server that is away, and the journal remembers what is left.
const TOTAL: Duration = Duration::from_secs(5);

/// How long one request of it may take, so that a second try fits.
const ONE: Duration = Duration::from_secs(2);

/// The wait before the second try; four times that before the third.
const FIRST_WAIT: Duration = Duration::from_millis(150);

/// What one try showed.
enum Verdict {
    /// The token is dead; the request id when Vault gave one.
    Dead(Option<String>),
    /// The host's own token is dead.
    LoginDead,
}

/// What a lookup by accessor showed.
#[derive(PartialEq, Eq)]
enum Found {
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
        let wait = jittered(self.wait);
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
    /// Ends a token by its accessor. Success means that Vault confirmed it, or
    /// knows no such token any more.
    pub(super) async fn revoke(
        self: &Arc<Self>,
        login: &mut Arc<HostLogin>,
        accessor: &Accessor,
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
                    Err(VaultError::Closed) if login.is_buried() => return Ok(None),
                    fresh => fresh?,
                };
            }
            match self.try_revoke(login, accessor, patience.limit()).await {
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
        limit: Duration,
    ) -> Result<Verdict, VaultError> {
        let call = Call::endpoint(
            Operation::Revoke,
            &RevokeTokenAccessorRequest {
                accessor: accessor.expose().to_owned(),
            },
        )?;
        let reply = self.client.send_within(&call, login.token(), limit).await?;
        if unknown(&reply) {
            return Ok(Verdict::Dead(None));
        }
        if !matches!(reply.status(), 400 | 403 | 404) {
            let envelope = reply.success()?.envelope::<serde::de::IgnoredAny>()?;
            // OpenBao: 204 for a token that it just ended, 200 with a warning
            // for an accessor that it does not know. Both are dead.
            return Ok(Verdict::Dead(envelope.request_id()));
        }
        if reply.status() == 403 && !self.lives(login, limit).await? {
            return Ok(Verdict::LoginDead);
        }
        // A refusal, or a server that words an unknown accessor differently.
        match self.look_up(login, accessor, limit).await? {
            Found::Nothing => Ok(Verdict::Dead(None)),
            Found::LoginDead => Ok(Verdict::LoginDead),
            Found::Alive => reply.success().map(|_| Verdict::Dead(None)),
        }
    }

    /// Whether a token seems dead: Vault knows no such token, or refuses the
    /// log-in everything, whose end is that of its children.
    pub(super) async fn is_dead(
        &self,
        login: &HostLogin,
        accessor: &Accessor,
        limit: Duration,
    ) -> Result<bool, VaultError> {
        let found = self.look_up(login, accessor, limit).await?;
        Ok(found != Found::Alive)
    }

    async fn look_up(
        &self,
        login: &HostLogin,
        accessor: &Accessor,
        limit: Duration,
    ) -> Result<Found, VaultError> {
        let call = Call::endpoint(
            Operation::Lookup,
            &LookupTokenAccessorRequest {
                accessor: accessor.expose().to_owned(),
            },
        )?;
        let reply = self.client.send_within(&call, login.token(), limit).await?;
        if unknown(&reply) || reply.status() == 404 {
            return Ok(Found::Nothing);
        }
        if reply.status() == 403 && !self.lives(login, limit).await? {
            return Ok(Found::LoginDead);
        }
        Ok(Found::Alive)
    }
}

/// OpenBao says 400 and Vault 403 for an accessor that names no token; a plain
/// refusal has another text.
pub(super) fn unknown(reply: &Reply) -> bool {
    matches!(reply.status(), 400 | 403) && reply.says("invalid accessor")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overloaded() -> VaultError {
        VaultError::Overloaded {
            operation: Operation::Revoke,
            status: 500,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let mut patience = Patience::new();
        assert!(patience.after(overloaded()).await.is_ok());
        assert!(patience.after(overloaded()).await.is_ok());
        assert!(patience.after(overloaded()).await.is_err());
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

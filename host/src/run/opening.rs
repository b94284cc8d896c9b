//! Waiting for an authority, as long as the task still wants it.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::vault::{Opening, Session, VaultError};

/// How long an authority that is asked for when the attempt is cancelled is
/// still waited for.
const CANCELLED_WAIT: Duration = Duration::from_secs(1);

/// Why there is no authority.
pub(super) enum GivenUp {
    /// Vault did not give it.
    Failed(VaultError),
    /// It has not come: the time is over, or (true) the attempt was cancelled.
    Left(Opening, bool),
}

/// An authority, if Vault gives it while the task still wants it.
pub(super) async fn in_time(
    mut opening: Opening,
    deadline: Instant,
    cancel: &CancellationToken,
) -> Result<Session, GivenUp> {
    let cancelled = tokio::select! {
        biased;
        opened = &mut opening => return opened.map_err(GivenUp::Failed),
        () = tokio::time::sleep_until(deadline.into()) => false,
        () = cancel.cancelled() => true,
    };
    if !cancelled {
        return Err(GivenUp::Left(opening, false));
    }
    // Nearly always it is there at once, and can be ended properly.
    match tokio::time::timeout(CANCELLED_WAIT, &mut opening).await {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(error)) => Err(GivenUp::Failed(error)),
        Err(_) => Err(GivenUp::Left(opening, true)),
    }
}

//! Whose turn it is to revoke, when a great many attempts end together.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::client::jittered;

/// Attempts whose authority is being ended at the same time. Vault does several
/// thousand revocations a second; more at once would only queue there.
const AT_ONCE: usize = 32;

/// Who does not find a free place comes back after half to all of this, so
/// that a crowd does not move in step.
const SPREAD: Duration = Duration::from_millis(10);

/// How long anybody waits for a place. Three times what those who hold the
/// places may take when Vault does not answer; when it does, there is room for
/// thousands in it. A crowd that then went without would be the storm after all.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// The places.
pub(super) struct Turns(Semaphore);

impl Turns {
    pub(super) fn new() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }

    /// Waits for a place; at once for whoever ends alone. None when it took too
    /// long: what did not end is left to the sweep.
    pub(super) async fn wait(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(place) = self.0.try_acquire() {
            return Some(place);
        }
        let place = async {
            tokio::time::sleep(jittered(SPREAD)).await;
            self.0.acquire().await.ok()
        };
        tokio::time::timeout(PATIENCE, place).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn places_are_bounded_and_nobody_waits_for_ever() {
        let turns = Turns::new();
        let begun = tokio::time::Instant::now();
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(turns.wait().await.expect("free"));
        }
        assert_eq!(
            begun.elapsed(),
            Duration::ZERO,
            "no wait while there is room"
        );
        let (place, ()) = tokio::join!(turns.wait(), async {
            tokio::time::sleep(SPREAD * 2).await;
            held.pop();
        });
        assert!(place.is_some());
        assert!(turns.wait().await.is_none());
        assert!(begun.elapsed() >= PATIENCE);
    }
}

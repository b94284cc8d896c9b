//! How long a lease lives, for those who use its credential.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

/// The life of one lease. Clones share it; it says nothing of the credential.
#[derive(Debug, Clone)]
pub struct LeaseState(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    life: watch::Sender<Life>,
    /// Somebody doubts that it lives.
    doubted: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Life {
    /// When it ends unless it is renewed.
    ends: Instant,
    /// The last part of its life, in which a replacement is due.
    grace: Duration,
    /// Somebody puts its end off.
    renewed: bool,
    /// Vault knows it no more, or the attempt is over.
    dead: bool,
}

impl LeaseState {
    pub(super) fn new(ends: Instant, grace: Duration, renewed: bool) -> Self {
        Self(Arc::new(Shared {
            life: watch::Sender::new(Life {
                ends,
                grace,
                renewed,
                dead: false,
            }),
            doubted: Notify::new(),
        }))
    }

    /// When it ends unless it is renewed until then.
    pub fn ends(&self) -> Instant {
        self.0.life.borrow().ends
    }

    /// True once it is over: the credential works no more.
    pub fn has_ended(&self) -> bool {
        let life = *self.0.life.borrow();
        life.dead || Instant::now() >= life.ends
    }

    /// True once a replacement is due: it is over, or will be soon and nobody
    /// renews it.
    pub fn is_ending(&self) -> bool {
        let life = *self.0.life.borrow();
        let soon = Instant::now() + life.grace;
        self.has_ended() || (!life.renewed && soon >= life.ends)
    }

    /// Waits until it is over.
    pub async fn ended(&self) {
        let mut changes = self.0.life.subscribe();
        while !self.has_ended() {
            let ends = changes.borrow_and_update().ends;
            tokio::select! {
                () = tokio::time::sleep_until(ends.into()) => {}
                // Cannot fail: we hold the sender.
                _ = changes.changed() => {}
            }
        }
    }

    /// Vault's next word on it, counted from this call: that it is over, or a new
    /// end. It is over at its end even if Vault says nothing.
    pub fn next_word(&self) -> impl Future<Output = ()> + use<> {
        let (state, mut changes) = (self.clone(), self.0.life.subscribe());
        let ends = changes.borrow_and_update().ends;
        async move {
            while !state.has_ended() && state.ends() == ends {
                tokio::select! {
                    () = tokio::time::sleep_until(ends.into()) => {}
                    // Cannot fail: we hold the sender.
                    _ = changes.changed() => {}
                }
            }
        }
    }

    /// Somebody did not take its credential: it is renewed now, which shows
    /// whether Vault still knows it.
    pub fn check(&self) {
        self.0.doubted.notify_one();
    }

    /// Waits until somebody doubts that it lives.
    pub(super) async fn doubted(&self) {
        self.0.doubted.notified().await;
    }

    /// The time that it has left.
    pub(super) fn left(&self) -> Duration {
        self.ends().saturating_duration_since(Instant::now())
    }

    pub(super) fn set_renewed(&self, ends: Instant, grace: Duration) {
        self.0.life.send_modify(|life| {
            life.ends = ends;
            life.grace = grace;
        });
    }

    /// From now on nobody renews it.
    pub(super) fn set_unrenewed(&self) {
        self.0.life.send_modify(|life| life.renewed = false);
    }

    pub(super) fn set_dead(&self) {
        self.0.life.send_modify(|life| life.dead = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_a(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn vaults_next_word_is_an_end_or_another_end() {
        let grace = Duration::from_secs(1);
        let state = LeaseState::new(in_a(60), grace, true);
        let waits = async |word: &mut (dyn Future<Output = ()> + Unpin)| {
            let soon = Duration::from_millis(1);
            tokio::time::timeout(soon, word).await.is_err()
        };
        let mut word = Box::pin(state.next_word());
        assert!(waits(&mut word).await);
        state.set_unrenewed();
        assert!(waits(&mut word).await, "that is no word of Vault's");
        state.set_renewed(in_a(90), grace);
        assert!(!waits(&mut word).await);
        let mut word = Box::pin(state.next_word());
        assert!(waits(&mut word).await, "another one");
        state.set_dead();
        assert!(!waits(&mut word).await);
    }

    #[test]
    fn a_lease_that_nobody_renews_is_to_be_replaced_before_it_ends() {
        let grace = Duration::from_secs(10);
        let state = LeaseState::new(in_a(9), grace, true);
        assert!(!state.is_ending() && !state.has_ended());
        state.set_unrenewed();
        assert!(state.is_ending() && !state.has_ended());
        state.set_renewed(in_a(60), grace);
        assert!(!state.is_ending());
        state.set_dead();
        assert!(state.is_ending() && state.has_ended());
    }

    #[tokio::test]
    async fn whoever_waits_is_told_of_the_end() {
        let state = LeaseState::new(in_a(3600), Duration::ZERO, true);
        let waiting = tokio::spawn({
            let state = state.clone();
            async move { state.ended().await }
        });
        tokio::task::yield_now().await;
        state.set_renewed(Instant::now() + Duration::from_millis(20), Duration::ZERO);
        waiting.await.expect("told at its time");

        let state = LeaseState::new(in_a(3600), Duration::ZERO, true);
        let (told, ()) = tokio::join!(
            tokio::time::timeout(Duration::from_secs(5), state.ended()),
            async { state.set_dead() }
        );
        assert!(told.is_ok());
    }
}

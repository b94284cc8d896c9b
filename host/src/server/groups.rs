//! The groups of this machine's users: looked up one user at a time, and believed
//! for a moment.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OnceCell, Semaphore};

use crate::lock::Mutex;

/// How long what was looked up is believed. Whoever is taken out of a group loses
/// its tasks after this, on new connections.
const BELIEVED: Duration = Duration::from_secs(10);

/// Look-ups at the same time, each of which holds a thread while the directory answers.
const AT_ONCE: usize = 8;

/// The groups of users who have called. A storm of connections asks the directory
/// once for each user, and nobody waits for another user's answer, unless there are
/// more than [`AT_ONCE`].
pub(super) struct Groups {
    known: Mutex<HashMap<u32, Known>>,
    threads: Semaphore,
    look_up: fn(u32) -> Vec<u32>,
}

struct Known {
    /// Empty while they are looked up.
    groups: Arc<OnceCell<Arc<[u32]>>>,
    asked: Instant,
}

impl Default for Groups {
    fn default() -> Self {
        Self::asking(look_up)
    }
}

impl Groups {
    fn asking(look_up: fn(u32) -> Vec<u32>) -> Self {
        Self {
            known: Mutex::default(),
            threads: Semaphore::new(AT_ONCE),
            look_up,
        }
    }

    /// All groups of this user.
    pub(super) async fn of(&self, uid: u32) -> Arc<[u32]> {
        let groups = self.known(uid);
        let asked = groups.get_or_init(async || {
            // It is never closed.
            let _thread = self.threads.acquire().await;
            let look_up = self.look_up;
            let groups = tokio::task::spawn_blocking(move || look_up(uid)).await;
            groups.unwrap_or_default().into()
        });
        Arc::clone(asked.await)
    }

    /// What is believed of this user, or a place for what will be.
    fn known(&self, uid: u32) -> Arc<OnceCell<Arc<[u32]>>> {
        let mut known = self.known.lock();
        let now = Instant::now();
        let is_fresh = |one: &Known| now.duration_since(one.asked) < BELIEVED;
        if let Some(one) = known.get(&uid)
            && (is_fresh(one) || !one.groups.initialized())
        {
            return Arc::clone(&one.groups);
        }
        known.retain(|_, one| is_fresh(one) || !one.groups.initialized());
        let groups = Arc::default();
        let new = Known {
            groups: Arc::clone(&groups),
            asked: now,
        };
        known.insert(uid, new);
        groups
    }
}

/// Asks for the groups of a user, which can take a moment where they come from a
/// directory.
pub(super) fn look_up(uid: u32) -> Vec<u32> {
    let user = uzers::get_user_by_uid(uid);
    let groups = user.and_then(|user| uzers::get_user_groups(user.name(), user.primary_group_id()));
    (groups.unwrap_or_default().iter())
        .map(uzers::Group::gid)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_storm_asks_once() {
        let groups = Arc::new(Groups::default());
        let many = (0..100).map(|_| {
            let groups = Arc::clone(&groups);
            tokio::spawn(async move { groups.of(0).await })
        });
        let mut answers = Vec::new();
        for one in futures_util::future::join_all(many).await {
            answers.push(one.unwrap());
        }
        assert!(answers[0].contains(&0), "root is in its own group");
        assert!(answers.iter().all(|it| Arc::ptr_eq(it, &answers[0])));
        // Nobody has this number.
        assert_eq!(groups.of(u32::MAX - 7).await.len(), 0);
    }
    #[tokio::test]
    async fn one_who_is_slow_to_look_up_holds_up_nobody_else() {
        const SLOW: Duration = Duration::from_secs(2);
        let groups = Arc::new(Groups::asking(|uid| {
            if uid == 1 {
                std::thread::sleep(SLOW);
            }
            vec![uid]
        }));
        let begun = Instant::now();
        let slow = Arc::clone(&groups);
        let slow = tokio::spawn(async move { slow.of(1).await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(*groups.of(2).await, [2]);
        assert!(begun.elapsed() < SLOW / 2);
        assert_eq!(*slow.await.unwrap(), [1]);
        assert!(begun.elapsed() >= SLOW, "it was slow");
    }
}

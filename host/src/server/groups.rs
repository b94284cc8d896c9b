//! The groups of this machine's users: looked up one user at a time, and believed
//! for a moment.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long what was looked up is believed. Whoever is taken out of a group loses
/// its tasks after this, on new connections.
const BELIEVED: Duration = Duration::from_secs(10);

/// The groups of users who have called. A storm of connections asks the directory
/// once, and holds one thread.
#[derive(Default)]
pub(super) struct Groups {
    known: Mutex<HashMap<u32, Known>>,
    /// Held by the one who asks.
    asking: tokio::sync::Mutex<()>,
}

struct Known {
    groups: Arc<[u32]>,
    asked: Instant,
}

impl Groups {
    /// All groups of this user.
    pub(super) async fn of(&self, uid: u32) -> Arc<[u32]> {
        if let Some(groups) = self.known(uid) {
            return groups;
        }
        let _turn = self.asking.lock().await;
        // Somebody may have asked while we waited.
        if let Some(groups) = self.known(uid) {
            return groups;
        }
        let asked = Instant::now();
        let groups = tokio::task::spawn_blocking(move || look_up(uid)).await;
        let groups: Arc<[u32]> = groups.unwrap_or_default().into();
        let mut known = self.known.lock();
        known.retain(|_, one| one.asked.elapsed() < BELIEVED);
        let now = Known {
            groups: Arc::clone(&groups),
            asked,
        };
        known.insert(uid, now);
        groups
    }

    fn known(&self, uid: u32) -> Option<Arc<[u32]>> {
        let known = self.known.lock();
        let one = known.get(&uid)?;
        (one.asked.elapsed() < BELIEVED).then(|| Arc::clone(&one.groups))
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
}

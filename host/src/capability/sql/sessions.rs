//! The connections of one attempt.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::postgres::Session;
use crate::capability::Attempt;
use crate::lock::Mutex;
use crate::name::GrantName;

/// The connections that one attempt holds: counted by grant, and known, so
/// that its end finds them wherever the task was when it ended.
#[derive(Default)]
pub(crate) struct SqlSessions(Mutex<Held>);

#[derive(Default)]
struct Held {
    handles: HashMap<GrantName, usize>,
    sessions: Vec<Arc<Session>>,
    /// Those that nobody can use any more; they count until they are closed.
    left: Vec<(Arc<Session>, Permit)>,
}

/// The right to one connection under a grant, until it is dropped.
pub(super) struct Permit {
    attempt: Weak<Attempt>,
    grant: GrantName,
}

impl SqlSessions {
    /// One more connection under a grant; `None` when it has `most`.
    pub(super) fn permit(attempt: &Arc<Attempt>, grant: &GrantName, most: usize) -> Option<Permit> {
        let mut held = attempt.sql().0.lock();
        let handles = held.handles.entry(grant.clone()).or_default();
        if *handles >= most {
            return None;
        }
        *handles += 1;
        Some(Permit {
            attempt: Arc::downgrade(attempt),
            grant: grant.clone(),
        })
    }

    /// Remembers a session.
    pub(super) fn add(&self, session: &Arc<Session>) {
        self.0.lock().sessions.push(Arc::clone(session));
    }

    /// A session whose connection went with its last cursor, copy or transaction,
    /// where nobody could wait for its end.
    pub(super) fn leave(&self, session: Arc<Session>, permit: Permit) {
        self.0.lock().left.push((session, permit));
    }

    /// Closes what was left, so that there is room for another connection.
    pub(super) async fn close_left(&self) {
        let left = std::mem::take(&mut self.0.lock().left);
        for (session, permit) in left {
            self.close(&session).await;
            drop(permit);
        }
    }

    /// Closes a session and forgets it.
    pub(super) async fn close(&self, session: &Arc<Session>) {
        self.0
            .lock()
            .sessions
            .retain(|held| !Arc::ptr_eq(held, session));
        session.close().await;
    }

    /// Closes every session: what runs on the servers is cancelled first. Call
    /// it at the attempt's end, before the leases of its database users are
    /// revoked. Bounded in time.
    pub(crate) async fn close_all(&self) {
        let (sessions, left) = {
            let mut held = self.0.lock();
            (
                std::mem::take(&mut held.sessions),
                std::mem::take(&mut held.left),
            )
        };
        drop(left);
        let closing = sessions.iter().map(|session| session.close());
        futures_util::future::join_all(closing).await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(attempt) = self.attempt.upgrade() else {
            return;
        };
        if let Some(handles) = attempt.sql().0.lock().handles.get_mut(&self.grant) {
            *handles = handles.saturating_sub(1);
        }
    }
}

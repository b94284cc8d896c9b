//! One connection of a task: made at its first use, kept for the attempt, made
//! anew when it was lost.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::timeout_at;

use super::SqlGrant;
use super::login::{Live, log_in};
use super::postgres::Fault;
use super::sessions::{Permit, SqlSessions};
use crate::capability::Attempt;
use crate::capability::bindings::cofferdam::capabilities::sql::{ConnectionError, Error};
use crate::capability::bindings::cofferdam::capabilities::types::Failure;
use crate::capability::call::{DenialKind, Refusal, grant_label};
use crate::lock::Mutex;
use crate::name::GrantName;

/// A connection under an `[sql.NAME]` grant.
pub(super) struct Connection {
    attempt: Arc<Attempt>,
    grant: Arc<SqlGrant>,
    label: Arc<str>,
    state: Mutex<State>,
    /// Until the last one lets go of it.
    permit: Option<Permit>,
}

#[derive(Default)]
struct State {
    live: Option<Live>,
    /// What the server works for alone: a cursor or a copy.
    seat: Option<u64>,
    transaction: Option<Open>,
    /// Numbers given out.
    numbers: u64,
}

/// A transaction that has not ended.
struct Open {
    number: u64,
    /// What keeps it from being committed.
    failed: Option<Error>,
}

impl Connection {
    /// Opens a grant of this name.
    pub(super) fn open(attempt: &Arc<Attempt>, name: &str) -> Result<Arc<Self>, Failure> {
        let label = grant_label("sql", name);
        let found = name.parse().ok().and_then(|name: GrantName| {
            let grant = attempt.parts().grants.sql.get(&name)?;
            Some((name, Arc::clone(grant)))
        });
        let Some((name, grant)) = found else {
            return Err(attempt.refuse(&label, "open", "", Refusal::NotGranted));
        };
        let Some(permit) = SqlSessions::permit(attempt, &name, grant.max_connections) else {
            let refusal = Refusal::LimitReached("max_connections");
            return Err(attempt.refuse(&label, "open", "", refusal));
        };
        Ok(Arc::new(Self {
            attempt: Arc::clone(attempt),
            grant,
            label: label.into(),
            state: Mutex::default(),
            permit: Some(permit),
        }))
    }

    pub(super) fn attempt(&self) -> &Arc<Attempt> {
        &self.attempt
    }

    pub(super) fn grant(&self) -> &SqlGrant {
        &self.grant
    }

    /// `sql.NAME`.
    pub(super) fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// When a statement that begins now has to be over: the server's own limit
    /// comes first, so that the connection outlives it.
    pub(super) fn deadline(&self) -> Instant {
        const GRACE: std::time::Duration = std::time::Duration::from_secs(1);
        let own = Instant::now() + self.grant.statement_timeout + GRACE;
        own.min(self.attempt.parts().deadline)
    }

    /// The session, made if need be. In a transaction there is only the one
    /// that it began on.
    pub(super) async fn live(&self, operation: &'static str) -> Result<Live, Error> {
        let (known, failed) = {
            let state = self.state.lock();
            let transaction = state.transaction.as_ref();
            (
                state.live.clone(),
                transaction.map(|open| open.failed.clone()),
            )
        };
        if let Some(live) = known {
            if live.serves() {
                return Ok(live);
            }
            let lost = Fault::Lost(ConnectionError::Reset);
            if failed.is_some() && live.went_with_lease(self, &lost).await {
                let expired = self.expired(operation);
                self.spoil(&live, &expired);
                self.lose(&live).await;
                return Err(expired);
            }
            self.lose(&live).await;
        }
        if let Some(failed) = failed {
            return Err(failed.unwrap_or(Error::Connection(ConnectionError::Reset)));
        }
        let deadline = self.attempt.parts().deadline;
        let live = timeout_at(deadline.into(), log_in(self))
            .await
            .unwrap_or(Err(Error::Timeout))?;
        self.state.lock().live = Some(live.clone());
        Ok(live)
    }

    /// The task's user is gone with its lease.
    fn expired(&self, operation: &'static str) -> Error {
        let target = self.grant.server.to_string();
        Error::Denied(match self.attempt.begin(&self.label, operation, &target) {
            Ok(call) => call.deny(DenialKind::Expired, "lease_ended"),
            Err(failure) => failure,
        })
    }

    /// Ends a session that serves no more. A transaction on it is lost.
    pub(super) async fn lose(&self, live: &Live) {
        {
            let mut state = self.state.lock();
            if state.live.as_ref().is_some_and(|known| known.is(live)) {
                state.live = None;
                state.seat = None;
                if let Some(open) = &mut state.transaction {
                    let lost = Error::Connection(ConnectionError::Reset);
                    open.failed.get_or_insert(lost);
                }
            }
        }
        self.attempt.sql().close(&live.session).await;
    }

    /// Refused while a cursor or a copy has the connection.
    pub(super) fn check_free(&self) -> Result<(), Error> {
        match self.state.lock().seat {
            Some(_) => Err(Error::Busy),
            None => Ok(()),
        }
    }

    /// Takes the connection for a cursor or a copy.
    pub(super) fn take_seat(&self) -> u64 {
        let mut state = self.state.lock();
        state.numbers += 1;
        let number = state.numbers;
        state.seat = Some(number);
        number
    }

    /// Gives it back.
    pub(super) fn free_seat(&self, number: u64) {
        let mut state = self.state.lock();
        if state.seat == Some(number) {
            state.seat = None;
        }
    }

    /// Whether a transaction is open.
    pub(super) fn in_transaction(&self) -> bool {
        self.state.lock().transaction.is_some()
    }

    /// Notes that a transaction has begun.
    pub(super) fn opened_transaction(&self) -> u64 {
        let mut state = self.state.lock();
        state.numbers += 1;
        let number = state.numbers;
        state.transaction = Some(Open {
            number,
            failed: None,
        });
        number
    }

    /// Whether this transaction is the open one.
    pub(super) fn has_transaction(&self, number: u64) -> bool {
        let state = self.state.lock();
        state
            .transaction
            .as_ref()
            .is_some_and(|open| open.number == number)
    }

    /// Notes that the transaction has ended; what kept it from being committed.
    pub(super) fn closed_transaction(&self) -> Option<Error> {
        self.state.lock().transaction.take()?.failed
    }

    /// What keeps the transaction from being committed, if anything does.
    pub(super) fn failure(&self) -> Option<Error> {
        self.state.lock().transaction.as_ref()?.failed.clone()
    }

    /// Notes that a statement of the transaction failed, which ran on this
    /// session. What is left of an earlier one says nothing of the one that is
    /// open.
    pub(super) fn spoil(&self, live: &Live, error: &Error) {
        let state = &mut *self.state.lock();
        let is_current = state.live.as_ref().is_some_and(|known| known.is(live));
        if let (true, Some(open)) = (is_current, &mut state.transaction) {
            open.failed.get_or_insert_with(|| error.clone());
        }
    }

    /// The task lets go of it.
    pub(super) async fn release(self: Arc<Self>) {
        // A cursor of it may be open still; then that lets go of it.
        if Arc::strong_count(&self) > 1 {
            return;
        }
        let live = self.state.lock().live.take();
        if let Some(live) = live {
            self.attempt.sql().close(&live.session).await;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let (Some(live), Some(permit)) = (self.state.get_mut().live.take(), self.permit.take()) {
            self.attempt.sql().leave(live.session, permit);
        }
    }
}

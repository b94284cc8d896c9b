//! Transactions of a connection.

use std::sync::Arc;

use tokio::time::timeout_at;

use super::connection::Connection;
use super::gate::Verb;
use super::login::Live;
use super::postgres::Fault;
use super::running::Running;
use crate::capability::bindings::cofferdam::capabilities::sql::{Error, Isolation};
use crate::capability::call::{DenialKind, Refusal};

/// Commits only what can be committed. The server answers a plain `COMMIT` of a
/// failed transaction by undoing it, and calls that a success.
const COMMIT: &str = "SELECT 1; COMMIT";

/// A transaction that the task holds.
pub(super) struct Transaction {
    connection: Arc<Connection>,
    number: u64,
}

impl Transaction {
    /// Begins one.
    pub(super) async fn begin(
        connection: &Arc<Connection>,
        isolation: Isolation,
        read_only: bool,
    ) -> Result<Self, Error> {
        connection.check_free()?;
        if connection.in_transaction() {
            return Err(Error::Busy);
        }
        let live = connection.live("begin").await?;
        let reads = |verb: &Verb| matches!(verb, Verb::Select | Verb::CopyOut);
        let read_only = read_only || connection.grant().rules.allow.iter().all(reads);
        run(connection, &live, "begin", text_of(isolation, read_only)).await?;
        Ok(Self {
            connection: Arc::clone(connection),
            number: connection.opened_transaction(),
        })
    }

    /// Makes it last.
    pub(super) async fn commit(&self) -> Result<(), Error> {
        self.check("commit")?;
        if let Some(failure) = self.connection.failure() {
            self.undo("commit").await;
            return Err(failure);
        }
        let live = self.connection.live("commit").await;
        let committed = match &live {
            Ok(live) => run(&self.connection, live, "commit", COMMIT).await,
            Err(error) => Err(error.clone()),
        };
        if let (Err(_), Ok(live)) = (&committed, &live)
            && live.serves()
        {
            // It is over on the server, unless it had failed before.
            let rolled_back = live.session.command("ROLLBACK");
            if !matches!(
                timeout_at(self.connection.deadline().into(), rolled_back).await,
                Ok(Ok(()))
            ) {
                self.connection.lose(live).await;
            }
        }
        self.connection.closed_transaction();
        committed
    }

    /// Undoes it.
    pub(super) async fn rollback(&self) -> Result<(), Error> {
        self.check("rollback")?;
        self.undo("rollback").await;
        Ok(())
    }

    /// The task lets go of it: what was not committed is undone.
    pub(super) async fn abandon(self) {
        if !self.connection.has_transaction(self.number) {
            return;
        }
        // Behind a cursor or a copy that the task still holds, a ROLLBACK would
        // wait for rows that nobody reads. The server undoes what was begun on a
        // connection that goes.
        if self.connection.check_free().is_ok() {
            return self.undo("rollback").await;
        }
        let (connection, server) = (&self.connection, &self.connection.grant().server);
        let call =
            (connection.attempt()).begin(connection.label(), "rollback", &server.to_string());
        if let Ok(live) = connection.live("rollback").await {
            connection.lose(&live).await;
        }
        connection.closed_transaction();
        if let Ok(call) = call {
            call.done_with("connection_closed");
        }
    }

    /// Refused once it is over, and while a cursor is open.
    fn check(&self, operation: &'static str) -> Result<(), Error> {
        if self.connection.has_transaction(self.number) {
            return self.connection.check_free();
        }
        let refusal = Refusal::Invalid("transaction_over");
        Err(Error::Denied(self.connection.attempt().refuse(
            self.connection.label(),
            operation,
            "",
            refusal,
        )))
    }

    /// On the server, if that can be; a connection that is gone has undone it.
    async fn undo(&self, operation: &'static str) {
        if let Ok(live) = self.connection.live(operation).await
            && run(&self.connection, &live, operation, "ROLLBACK")
                .await
                .is_err()
        {
            self.connection.lose(&live).await;
        }
        self.connection.closed_transaction();
    }
}

/// Runs one of the host's own statements, in the frame of a call.
async fn run(
    connection: &Connection,
    live: &Live,
    operation: &'static str,
    text: &str,
) -> Result<(), Error> {
    let server = connection.grant().server.to_string();
    let call = connection
        .attempt()
        .begin(connection.label(), operation, &server)
        .map_err(Error::Denied)?;
    let done = Running::within(connection.deadline(), live.session.command(text)).await;
    let Err(fault) = done else {
        call.done();
        return Ok(());
    };
    let lost = fault.is_final() || live.session.is_running();
    let error = if lost && live.went_with_lease(connection, &fault).await {
        Error::Denied(call.deny(DenialKind::Expired, "lease_ended"))
    } else {
        call.failed(&fault.reason());
        told(connection, fault)
    };
    if lost {
        connection.lose(live).await;
    }
    Err(error)
}

fn told(connection: &Connection, fault: Fault) -> Error {
    fault.told(connection.grant().max_message(), |fault| {
        super::running::shown_without_place(connection, fault)
    })
}

fn text_of(isolation: Isolation, read_only: bool) -> &'static str {
    match (isolation, read_only) {
        (Isolation::ReadCommitted, false) => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        (Isolation::ReadCommitted, true) => "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
        (Isolation::RepeatableRead, false) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE",
        (Isolation::RepeatableRead, true) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        (Isolation::Serializable, false) => "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE",
        (Isolation::Serializable, true) => "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY",
    }
}

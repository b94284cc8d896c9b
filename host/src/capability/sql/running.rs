//! One statement, from its text to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{timeout, timeout_at};

use super::connection::Connection;
use super::fault::Shown;
use super::gate::{Checked, Reason, Rejected, Verb};
use super::login::Live;
use super::postgres::{Fault, ServerFault};
use crate::audit::Statement;
use crate::capability::bindings::cofferdam::capabilities::sql::Error;
use crate::capability::call::{Call, DenialKind, Refusal};
use crate::digest::Digest;
use crate::scrub::escape_control;

/// Time in which the rest of a result is received rather than cancelled.
const SETTLE: Duration = Duration::from_millis(100);

/// Time for a cancelled statement to end.
const CANCELLED: Duration = Duration::from_secs(2);

/// What a statement is run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Purpose {
    /// Its rows.
    Query,
    /// Its effect.
    Execute,
    /// Data into the database.
    CopyIn,
    /// Data out of it.
    CopyOut,
}

/// A statement under way: it was checked and stands in the audit. Dropped, it
/// was interrupted.
pub(super) struct Running {
    pub(super) connection: Arc<Connection>,
    pub(super) live: Live,
    pub(super) checked: Arc<Checked>,
    pub(super) deadline: Instant,
    /// As the task wrote it.
    text: String,
    call: Call,
}

impl Running {
    /// Checks a statement, finds a session for it and writes its intent.
    pub(super) async fn begin(
        connection: &Arc<Connection>,
        purpose: Purpose,
        text: String,
        parameters: u64,
    ) -> Result<Self, Error> {
        connection.check_free()?;
        let operation: &'static str = purpose.into();
        let (attempt, grant) = (connection.attempt(), connection.grant());
        let server = grant.server.to_string();
        let digest = Digest::of(text.as_bytes());
        let shown = grant.audit_text.then(|| attempt.audit_text(&text));
        let mut statement = Statement {
            kind: None,
            tables: Vec::new(),
            digest,
            user: None,
            text: shown.as_deref(),
        };
        let refuse = |statement: &Statement<'_>, place: &str, refusal| {
            attempt.refuse_statement(
                connection.label(),
                operation,
                place,
                Some(statement),
                refusal,
            )
        };
        let checked = match grant.gate.check(&text) {
            Ok(checked) => checked,
            Err(rejected) => {
                let place = match rejected.position {
                    Some(position) => format!("{server} at {position}"),
                    None => server,
                };
                return Err(Error::Denied(refuse(&statement, &place, refusal(rejected))));
            }
        };
        statement.kind = Some(checked.kind().into());
        statement.tables = checked.tables().iter().map(ToString::to_string).collect();
        if !purpose.fits(checked.kind()) {
            let refusal = Refusal::Invalid("other_kind_of_statement");
            return Err(Error::Denied(refuse(&statement, &server, refusal)));
        }
        if parameters > grant.max_bytes {
            refuse(&statement, &server, Refusal::LimitReached("max_bytes"));
            return Err(Error::TooLarge(grant.max_bytes));
        }
        let live = connection.live(operation).await?;
        statement.user = Some(live.session.user());
        let mut call = attempt
            .begin_statement(connection.label(), operation, &server, Some(&statement))
            .map_err(Error::Denied)?;
        call.detail("bytes_sent", parameters);
        Ok(Self {
            connection: Arc::clone(connection),
            deadline: connection.deadline(),
            live,
            checked,
            text,
            call,
        })
    }

    /// Awaits a part of it, no longer than it may take.
    pub(super) async fn within<T>(
        deadline: Instant,
        part: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        timeout_at(deadline.into(), part)
            .await
            .unwrap_or(Err(Fault::Timeout))
    }

    /// Notes a number worth keeping.
    pub(super) fn detail(&mut self, name: &'static str, value: u64) {
        self.call.detail(name, value);
    }

    /// It took place.
    pub(super) fn done(self) {
        self.call.done();
    }

    /// It did not, or not to its end.
    pub(super) async fn failed(self, fault: Fault) -> Error {
        if matches!(fault, Fault::Column(_)) {
            // Rows may still come.
            self.settle().await;
        }
        let Self {
            connection,
            live,
            checked,
            text,
            call,
            ..
        } = self;
        // What the host gave up on still runs; what the server ended does not.
        let lost = fault.is_final() || live.session.is_running();
        let spoils = !matches!(fault, Fault::Parameter(_) | Fault::Column(_));
        if lost && live.went_with_lease(&connection, &fault).await {
            let error = Error::Denied(call.deny(DenialKind::Expired, "lease_ended"));
            connection.spoil(&live, &error);
            connection.lose(&live).await;
            return error;
        }
        call.failed(&fault.reason());
        let error = fault.told(connection.grant().max_message(), |fault| {
            shown(&connection, &checked, &text, fault)
        });
        if spoils {
            connection.spoil(&live, &error);
        }
        if lost {
            connection.lose(&live).await;
        }
        error
    }

    /// A limit of the grant ended it.
    pub(super) async fn limited(self, limit: &'static str, error: Error) -> Error {
        self.call.limit(limit);
        self.settle().await;
        self.call.failed(limit);
        self.connection.spoil(&self.live, &error);
        error
    }

    /// The task let go of it before its end.
    pub(super) async fn abandoned(self, note: &'static str) {
        self.settle().await;
        self.call.done_with(note);
    }

    /// Waits until the server is done with it, so that the connection is free.
    /// A statement that changes nothing is cancelled when that takes longer;
    /// within a transaction, a cancellation would undo what came before.
    async fn settle(&self) {
        let session = &self.live.session;
        let reads = self
            .checked
            .verbs()
            .iter()
            .all(|verb| *verb == Verb::Select);
        if timeout(SETTLE, session.settle())
            .await
            .is_ok_and(|it| it.is_ok())
        {
            return;
        }
        let settled = if reads && !self.connection.in_transaction() {
            session.cancel().await;
            timeout(CANCELLED, session.settle()).await
        } else {
            timeout_at(self.deadline.into(), session.settle()).await
        };
        if !settled.is_ok_and(|it| it.is_ok()) {
            self.connection.lose(&self.live).await;
        }
    }
}

impl Purpose {
    fn fits(self, kind: Verb) -> bool {
        match self {
            Self::Query | Self::Execute => !matches!(kind, Verb::CopyIn | Verb::CopyOut),
            Self::CopyIn => kind == Verb::CopyIn,
            Self::CopyOut => kind == Verb::CopyOut,
        }
    }
}

fn refusal(rejected: Rejected) -> Refusal {
    let word: &'static str = rejected.reason.into();
    match rejected.reason {
        Reason::TooLong
        | Reason::TooDeep
        | Reason::NotRead
        | Reason::NotOneStatement
        | Reason::LiteralNotAllowed
        | Reason::NameNotAllowed => Refusal::Invalid(word),
        _ => Refusal::OutOfScope(word),
    }
}

fn shown(connection: &Connection, checked: &Checked, text: &str, fault: &ServerFault) -> Shown {
    let place = fault.position.and_then(|sent| checked.locate(sent));
    Shown {
        position: place.and_then(|place| character(text, place.line, place.column)),
        ..shown_without_place(connection, fault)
    }
}

/// An error of one of the host's own statements.
pub(super) fn shown_without_place(connection: &Connection, fault: &ServerFault) -> Shown {
    let message = connection.grant().show_messages.then(|| {
        let secrets = &connection.attempt().parts().secrets;
        escape_control(&secrets.scrub_text(&fault.message))
    });
    Shown {
        position: None,
        message,
    }
}

/// The number of a character, from 1, by its line and column.
fn character(text: &str, line: u32, column: u32) -> Option<u32> {
    let before = usize::try_from(line.checked_sub(1)?).ok()?;
    let lines = text.split_inclusive('\n').take(before);
    let characters: usize = lines.map(|line| line.chars().count()).sum();
    u32::try_from(characters).ok()?.checked_add(column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_character() {
        assert_eq!(character("select x", 1, 8), Some(8));
        assert_eq!(character("é\nselect x", 2, 8), Some(10));
        assert_eq!(character("a", 0, 1), None);
    }
}

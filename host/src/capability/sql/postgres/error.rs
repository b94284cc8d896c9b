//! From an error of the driver to one of few meanings. The error itself is
//! never formatted: it can carry the server's text.

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, ErrorPosition};

use super::connect::violation;
use super::guard::Violation;
use crate::capability::bindings::cofferdam::capabilities::sql::ConnectionError;

/// Why a statement has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::capability::sql) enum Fault {
    /// The connection is gone.
    Lost(ConnectionError),
    /// It took too long.
    Timeout,
    /// The server refused it.
    Server(ServerFault),
    /// A parameter does not fit; its number, from 1.
    Parameter(u32),
    /// A column has a type that cannot be carried; its number, from 1.
    Column(u32),
    /// The server sent a message over the limit.
    TooLarge,
}

/// What the server said.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::capability::sql) struct ServerFault {
    /// Five letters and digits.
    pub(in crate::capability::sql) sqlstate: String,
    /// The character of the sent text, from 1.
    pub(in crate::capability::sql) position: Option<u32>,
    /// Its text, which can hold anything.
    pub(in crate::capability::sql) message: String,
}

impl std::fmt::Debug for ServerFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServerFault({})", self.sqlstate)
    }
}

impl Fault {
    /// What an error of a session means; `end` is why the session ended, if it did.
    pub(super) fn of(error: &Error, end: Option<Self>) -> Self {
        if let Some(server) = error.as_db_error() {
            return Self::of_server(server);
        }
        if let Some(violation) = violation(error) {
            return match violation {
                Violation::TooLarge => Self::TooLarge,
                _ => Self::Lost(ConnectionError::Protocol),
            };
        }
        if error.is_closed() {
            return end.unwrap_or(Self::Lost(ConnectionError::Reset));
        }
        let io = std::error::Error::source(error).is_some_and(|cause| cause.is::<std::io::Error>());
        // What cannot be parsed has an `io::Error` below it too.
        if io && !error.to_string().contains("parsing") {
            return Self::Lost(ConnectionError::Reset);
        }
        Self::Lost(ConnectionError::Protocol)
    }

    fn of_server(error: &DbError) -> Self {
        let code = error.code().code();
        let known = code.len() == 5 && code.bytes().all(|b| b.is_ascii_alphanumeric());
        if code == "57014" {
            return Self::Timeout;
        }
        Self::Server(ServerFault {
            // "XX000": an internal error, which is what a code of another shape is.
            sqlstate: if known { code } else { "XX000" }.to_owned(),
            position: match error.position() {
                Some(ErrorPosition::Original(position)) => Some(*position),
                _ => None,
            },
            message: error.message().to_owned(),
        })
    }

    /// Whether the server ended the session, or somebody had it do so.
    pub(in crate::capability::sql) fn is_end_by_server(&self) -> bool {
        match self {
            Self::Lost(error) => *error == ConnectionError::Reset,
            Self::Server(fault) => fault.sqlstate == "57P01",
            Self::Timeout | Self::Parameter(_) | Self::Column(_) | Self::TooLarge => false,
        }
    }

    /// Whether the session cannot be used any more.
    pub(in crate::capability::sql) fn is_final(&self) -> bool {
        match self {
            Self::Lost(_) | Self::TooLarge => true,
            // Terminated by an administrator or by Vault, or crashed.
            Self::Server(fault) => matches!(
                fault.sqlstate.as_str(),
                "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03"
            ),
            Self::Timeout | Self::Parameter(_) | Self::Column(_) => false,
        }
    }
}

//! What the task and the audit are told of a fault.

use super::postgres::{Fault, ServerFault};
use crate::capability::bindings::cofferdam::capabilities::sql::{
    ConnectionError, Error, ServerError,
};

/// What an `sqlstate` comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Constraint,
    Syntax,
    Conflict,
    Unavailable,
    Statement,
}

impl Class {
    fn of(sqlstate: &str) -> Self {
        match sqlstate.get(..2) {
            Some("23") => Self::Constraint,
            // Among them are the rights that the user does not have, 42501.
            Some("42") => Self::Syntax,
            Some("40") => Self::Conflict,
            Some("53" | "55" | "57" | "58") => Self::Unavailable,
            _ => Self::Statement,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Constraint => "constraint",
            Self::Syntax => "syntax",
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
            Self::Statement => "statement",
        }
    }
}

/// How the server's error is shown to a task.
pub(super) struct Shown {
    /// The character in the task's own text, from 1.
    pub(super) position: Option<u32>,
    /// The server's text, if the grant says so, scrubbed.
    pub(super) message: Option<String>,
}

impl Fault {
    /// The words for the audit, with the server's code if there is one.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Lost(error) => format!("connection_{}", connection_word(*error)),
            Self::Timeout => "timeout".to_owned(),
            Self::Server(fault) => {
                let class = Class::of(&fault.sqlstate).word();
                format!("{class} {}", fault.sqlstate)
            }
            Self::Parameter(_) => "parameter".to_owned(),
            Self::Column(_) => "column_type".to_owned(),
            Self::TooLarge => "message_too_large".to_owned(),
        }
    }

    /// The contract's words; `limit` is the grant's in bytes.
    pub(super) fn told(self, limit: u64, show: impl FnOnce(&ServerFault) -> Shown) -> Error {
        match self {
            Self::Lost(error) => Error::Connection(error),
            Self::Timeout => Error::Timeout,
            Self::Parameter(number) => Error::Parameter(number),
            Self::Column(number) => Error::Column(number),
            Self::TooLarge => Error::TooLarge(limit),
            Self::Server(fault) => {
                let Shown { position, message } = show(&fault);
                let class = Class::of(&fault.sqlstate);
                let error = ServerError {
                    sqlstate: fault.sqlstate,
                    position,
                    message,
                };
                match class {
                    Class::Constraint => Error::Constraint(error),
                    Class::Syntax => Error::Syntax(error),
                    Class::Conflict => Error::Conflict(error),
                    Class::Unavailable => Error::Unavailable(error),
                    Class::Statement => Error::Statement(error),
                }
            }
        }
    }
}

/// A fixed word.
pub(super) fn connection_word(error: ConnectionError) -> &'static str {
    match error {
        ConnectionError::Dns => "dns",
        ConnectionError::Connect => "connect",
        ConnectionError::Tls => "tls",
        ConnectionError::Authentication => "authentication",
        ConnectionError::Reset => "reset",
        ConnectionError::Protocol => "protocol",
    }
}

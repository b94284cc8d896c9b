//! Why there is no result.

use std::fmt;

use super::Place;
use crate::Refusal;
use crate::bindings::cofferdam::capabilities::sql as host;

/// Why there is no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The host refused: the statement, its tables, a limit.
    Refused(Refusal),
    /// There is no connection, or it ended. What was open on it is gone; the
    /// next statement outside a transaction makes a new one.
    Connection(ConnectionError),
    /// Rows, a copy or a transaction of this connection are still open.
    Busy,
    /// The statement took longer than the grant or the attempt allows.
    Timeout,
    /// A constraint of the database does not hold.
    Constraint(ServerError),
    /// The statement cannot be understood: its grammar, or a name in it.
    Syntax(ServerError),
    /// Another transaction was in the way: run this one again.
    Conflict(ServerError),
    /// The server has no room, is shutting down or cannot do it now.
    Unavailable(ServerError),
    /// Everything else that a server can say.
    Statement(ServerError),
    /// The parameter of this number, from 1, does not fit what the statement wants.
    Parameter(u32),
    /// The column of this number, from 1, is of a type that cannot be read: cast it.
    Column(u32),
    /// More rows than the grant allows; the limit.
    TooManyRows(u64),
    /// More bytes than the grant allows; the limit.
    TooLarge(u64),
    /// A row is not what the task expects.
    Decode(DecodeError),
    /// One row was expected, and there is none.
    NoRow,
    /// One row was expected, and there are more.
    ManyRows,
}

/// Why there is no connection. Closed: the WIT contract has these and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionError {
    /// The server's name could not be resolved.
    Dns,
    /// No connection.
    Connect,
    /// The server's certificate or the handshake failed, or it has no TLS.
    Tls,
    /// The server did not accept the database user.
    Authentication,
    /// The connection broke.
    Reset,
    /// What the server sent was not its protocol.
    Protocol,
}

/// What the server said of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    sqlstate: String,
    place: Option<Place>,
    message: Option<String>,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    column: Option<String>,
    problem: String,
}

impl Error {
    /// From the host's answer to a statement.
    pub(super) fn new(error: host::Error, subject: &str, statement: &str) -> Self {
        let said = |error: host::ServerError| ServerError::new(error, statement);
        match error {
            host::Error::Denied(failure) => Self::Refused(Refusal::new(failure, subject)),
            host::Error::Connection(error) => Self::Connection(error.into()),
            host::Error::Busy => Self::Busy,
            host::Error::Timeout => Self::Timeout,
            host::Error::Constraint(error) => Self::Constraint(said(error)),
            host::Error::Syntax(error) => Self::Syntax(said(error)),
            host::Error::Conflict(error) => Self::Conflict(said(error)),
            host::Error::Unavailable(error) => Self::Unavailable(said(error)),
            host::Error::Statement(error) => Self::Statement(said(error)),
            host::Error::Parameter(number) => Self::Parameter(number),
            host::Error::Column(number) => Self::Column(number),
            host::Error::TooManyRows(limit) => Self::TooManyRows(limit),
            host::Error::TooLarge(limit) => Self::TooLarge(limit),
        }
    }

    /// True when the same work may succeed later. After [`Error::Conflict`] the
    /// whole transaction is run again, not the one statement.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_retryable(),
            Self::Connection(error) => matches!(
                error,
                ConnectionError::Dns | ConnectionError::Connect | ConnectionError::Reset
            ),
            Self::Timeout | Self::Conflict(_) | Self::Unavailable(_) => true,
            Self::Busy
            | Self::Constraint(_)
            | Self::Syntax(_)
            | Self::Statement(_)
            | Self::Parameter(_)
            | Self::Column(_)
            | Self::TooManyRows(_)
            | Self::TooLarge(_)
            | Self::Decode(_)
            | Self::NoRow
            | Self::ManyRows => false,
        }
    }

    /// What the server said, if it said anything.
    pub fn server(&self) -> Option<&ServerError> {
        match self {
            Self::Constraint(error)
            | Self::Syntax(error)
            | Self::Conflict(error)
            | Self::Unavailable(error)
            | Self::Statement(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Connection(error) => error.fmt(f),
            Self::Busy => {
                f.write_str("rows, a copy or a transaction of this connection are still open")
            }
            Self::Timeout => f.write_str("the statement took longer than is allowed"),
            Self::Constraint(error) => write!(f, "a constraint does not hold: {error}"),
            Self::Syntax(error) => write!(f, "the statement cannot be understood: {error}"),
            Self::Conflict(error) => write!(f, "another transaction was in the way: {error}"),
            Self::Unavailable(error) => write!(f, "the server cannot do it now: {error}"),
            Self::Statement(error) => write!(f, "the statement failed: {error}"),
            Self::Parameter(number) => {
                write!(
                    f,
                    "parameter ${number} does not fit what the statement wants"
                )
            }
            Self::Column(number) => {
                write!(
                    f,
                    "column {number} is of a type that cannot be read; cast it"
                )
            }
            Self::TooManyRows(limit) => {
                write!(f, "more than the {limit} rows that the grant allows")
            }
            Self::TooLarge(limit) => {
                write!(f, "more than the {limit} bytes that the grant allows")
            }
            Self::Decode(error) => error.fmt(f),
            Self::NoRow => f.write_str("one row was expected, and there is none"),
            Self::ManyRows => f.write_str("one row was expected, and there are more"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl ServerError {
    fn new(error: host::ServerError, statement: &str) -> Self {
        let host::ServerError {
            sqlstate,
            position,
            message,
        } = error;
        Self {
            sqlstate,
            place: position.and_then(|position| Place::of(statement, position)),
            message,
        }
    }

    /// Five characters; the first two are the class.
    pub fn sqlstate(&self) -> &str {
        &self.sqlstate
    }

    /// Where in the statement, if the server says so.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The server's own message; only if the grant shows it.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.message, meaning(&self.sqlstate)) {
            (Some(message), _) => write!(f, "{message} (SQLSTATE {})", self.sqlstate)?,
            (None, Some(meaning)) => write!(f, "{meaning} (SQLSTATE {})", self.sqlstate)?,
            (None, None) => write!(f, "SQLSTATE {}", self.sqlstate)?,
        }
        match &self.place {
            Some(place) => write!(f, ", {place}"),
            None => Ok(()),
        }
    }
}

/// The states that people meet.
fn meaning(sqlstate: &str) -> Option<&'static str> {
    Some(match sqlstate {
        "21000" => "one row was needed, and there are more",
        "22001" => "a text is too long for its column",
        "22003" => "a number is out of range",
        "22007" | "22008" => "no such date or time",
        "22012" => "division by zero",
        "22P02" => "a text is not of the type that is wanted",
        "22P04" => "the data of a copy is malformed",
        "23502" => "a value that must not be null is",
        "23503" => "a row that is referred to does not exist, or one still refers to it",
        "23505" => "there is such a row already",
        "23514" => "a check fails",
        "23P01" => "an exclusion fails",
        "25006" => "the transaction is read-only",
        "25P02" => "an earlier statement of the transaction failed",
        "28000" | "28P01" => "the database user is not accepted",
        "40001" => "the transactions cannot be put in an order",
        "40P01" => "deadlock",
        "42501" => "the database user may not do this",
        "42601" => "wrong grammar",
        "42702" => "a column's name fits several",
        "42703" => "no such column",
        "42804" => "a value is of another type than its column",
        "42883" => "no such function or operator for these types",
        "42P01" => "no such table",
        "42P18" => "the type of a parameter cannot be told; cast it",
        "53300" => "too many connections",
        "55P03" => "a lock is taken",
        "57014" => "the statement was cancelled",
        "57P01" => "the server ended the connection",
        _ => return None,
    })
}

impl DecodeError {
    pub(super) fn new(problem: impl fmt::Display) -> Self {
        Self {
            column: None,
            problem: problem.to_string(),
        }
    }

    /// The same, of a column.
    pub(super) fn of(mut self, column: &str) -> Self {
        self.column.get_or_insert_with(|| column.to_owned());
        self
    }

    /// The column, if it is about one.
    pub fn column(&self) -> Option<&str> {
        self.column.as_deref()
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "column `{column}`: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

impl std::error::Error for DecodeError {}

impl serde::de::Error for DecodeError {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self::new(problem)
    }
}

impl ConnectionError {
    /// The name in the WIT contract, such as `authentication`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Authentication => "authentication",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
        }
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "the database's name cannot be resolved",
            Self::Connect => "no connection to the database",
            Self::Tls => "the database's certificate or TLS handshake failed",
            Self::Authentication => "the database does not accept the user",
            Self::Reset => "the connection to the database broke",
            Self::Protocol => "the database does not speak its protocol",
        })
    }
}

impl From<host::ConnectionError> for ConnectionError {
    fn from(error: host::ConnectionError) -> Self {
        match error {
            host::ConnectionError::Dns => Self::Dns,
            host::ConnectionError::Connect => Self::Connect,
            host::ConnectionError::Tls => Self::Tls,
            host::ConnectionError::Authentication => Self::Authentication,
            host::ConnectionError::Reset => Self::Reset,
            host::ConnectionError::Protocol => Self::Protocol,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(make: fn(host::ServerError) -> host::Error, sqlstate: &str, position: u32) -> Error {
        let said = host::ServerError {
            sqlstate: sqlstate.to_owned(),
            position: Some(position),
            message: None,
        };
        Error::new(
            make(said),
            "query on `warehouse`",
            "SELECT id,\n       naem\nFROM orders",
        )
    }

    #[test]
    fn a_failed_statement_names_its_line() {
        let error = error(host::Error::Syntax, "42703", 19);
        assert_eq!(
            error.to_string(),
            "the statement cannot be understood: no such column (SQLSTATE 42703), line 2, column 8: `naem`"
        );
        let server = error.server().unwrap();
        assert_eq!(
            server.place().map(|place| (place.line(), place.column())),
            Some((2, 8))
        );
        assert!(!error.is_retryable());
    }

    #[test]
    fn what_may_pass_is_retryable() {
        assert!(error(host::Error::Conflict, "40001", 0).is_retryable());
        assert!(error(host::Error::Unavailable, "53300", 0).is_retryable());
        assert!(!error(host::Error::Constraint, "23505", 0).is_retryable());
        let of = |error| Error::new(error, "", "");
        assert!(of(host::Error::Timeout).is_retryable());
        assert!(of(host::Error::Connection(host::ConnectionError::Reset)).is_retryable());
        assert!(!of(host::Error::Connection(host::ConnectionError::Tls)).is_retryable());
        assert!(!of(host::Error::Busy).is_retryable());
    }
}

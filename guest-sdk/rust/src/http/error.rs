//! Why there is no usable answer.

use std::fmt;

use crate::Refusal;
use crate::bindings::cofferdam::capabilities::http as host;

/// Why there is no usable answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The host refused.
    Refused(Refusal),
    /// The request was allowed, but the exchange failed.
    Transport(Transport),
    /// The request or the answer is larger than the grant allows; the limit in bytes.
    TooLarge(u64),
    /// The server answered with an error status; only from
    /// [`error_for_status`](super::Response::error_for_status).
    Status(u16),
    /// The request's body cannot be written as JSON.
    Encode(serde_json::Error),
    /// The answer is not the JSON that the task expects.
    Decode(serde_json::Error),
    /// The answer is not UTF-8.
    NotText,
}

/// What failed on the way. Closed: the WIT contract has these and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// The server's name could not be resolved.
    Dns,
    /// No connection.
    Connect,
    /// The server's certificate or the handshake failed.
    Tls,
    /// No answer in time.
    Timeout,
    /// The connection broke.
    Reset,
    /// The answer was not HTTP, or in a coding that the host cannot scan for secrets.
    Protocol,
    /// The server answered with a redirect; the host follows none.
    RedirectRefused,
}

impl Error {
    pub(super) fn new(error: host::Error, subject: impl Into<String>) -> Self {
        match error {
            host::Error::Denied(failure) => Self::Refused(Refusal::new(failure, subject)),
            host::Error::Transport(transport) => Self::Transport(transport.into()),
            host::Error::TooLarge(limit) => Self::TooLarge(limit),
        }
    }

    /// True when the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_retryable(),
            Self::Transport(transport) => matches!(
                transport,
                Transport::Dns | Transport::Connect | Transport::Timeout | Transport::Reset
            ),
            // Request Timeout, Too Early, Too Many Requests and the server's own faults,
            // except 501 Not Implemented and 505 HTTP Version Not Supported (RFC 9110).
            Self::Status(status) => {
                matches!(status, 408 | 425 | 429 | 500 | 502..=504 | 506..=599)
            }
            Self::TooLarge(_) | Self::Encode(_) | Self::Decode(_) | Self::NotText => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Transport(transport) => transport.fmt(f),
            Self::TooLarge(limit) => {
                write!(f, "more than the {limit} bytes that the grant allows")
            }
            Self::Status(status) => write!(f, "the server answered with status {status}"),
            Self::Encode(_) => f.write_str("the request's body cannot be written as JSON"),
            Self::Decode(_) => f.write_str("the answer is not the expected JSON"),
            Self::NotText => f.write_str("the answer is not UTF-8"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Encode(error) | Self::Decode(error) => Some(error),
            _ => None,
        }
    }
}

impl Transport {
    /// The name in the WIT contract, such as `redirect-refused`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::RedirectRefused => "redirect-refused",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "the server's name cannot be resolved",
            Self::Connect => "no connection to the server",
            Self::Tls => "the server's certificate or TLS handshake failed",
            Self::Timeout => "the server did not answer in time",
            Self::Reset => "the connection broke",
            Self::Protocol => "the answer is not HTTP, or in a coding that cannot be scanned",
            Self::RedirectRefused => "the server answered with a redirect, which is not followed",
        })
    }
}

impl From<host::TransportError> for Transport {
    fn from(error: host::TransportError) -> Self {
        match error {
            host::TransportError::Dns => Self::Dns,
            host::TransportError::Connect => Self::Connect,
            host::TransportError::Tls => Self::Tls,
            host::TransportError::Timeout => Self::Timeout,
            host::TransportError::Reset => Self::Reset,
            host::TransportError::Protocol => Self::Protocol,
            host::TransportError::RedirectRefused => Self::RedirectRefused,
        }
    }
}

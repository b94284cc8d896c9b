//! Why the service did not do what was asked.

use std::path::PathBuf;

use crate::api::Problem;
use crate::diagnostic::{Blame, Diagnostic, Exit};

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens on the socket, or it does not let us in.
    #[error("cannot connect to the service at `{}`", socket.display())]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The connection broke before the answer was whole.
    #[error("the connection to the service broke")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The service refused, and says why.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// What answered is not the service, or another version of it.
    #[error("the answer of `{}` is not one of cofferdam's", socket.display())]
    Answer {
        /// The socket.
        socket: PathBuf,
    },
    /// The request cannot be written.
    #[error("the request cannot be written: {0}")]
    Request(String),
}

impl ClientError {
    /// Whether the call may be repeated as it is, and might work then.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken(_) => true,
            Self::Refused(problem) => problem.retry_after.is_some(),
            Self::Answer { .. } | Self::Request(_) => false,
        }
    }
}

impl Diagnostic for ClientError {
    fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } | Self::Broken(_) => Exit::Unavailable,
            Self::Refused(problem) => Exit::from_code(problem.exit),
            Self::Answer { .. } | Self::Request(_) => Exit::Usage,
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Refused(problem) => problem.blame,
            Self::Request(_) => Blame::Task,
            _ => Blame::Operator,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { socket, .. } => Some(format!(
                "is `cofferdam serve` up, and is `{}` the `socket` of its [server] table?",
                socket.display()
            )),
            Self::Broken(_) => Some(
                "the run goes on without us; the same command with the same --idempotency-key \
                 finds it again"
                    .to_owned(),
            ),
            Self::Refused(problem) => problem.hint.clone(),
            Self::Answer { .. } => Some("look at the service's version and ours".to_owned()),
            Self::Request(_) => None,
        }
    }
}

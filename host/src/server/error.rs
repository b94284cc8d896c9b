//! Why the service cannot start, or not go on with a new configuration.

use std::path::PathBuf;

use super::access::UnknownAccount;
use super::store::StoreError;
use super::tcp::TcpError;
use crate::audit::AuditError;
use crate::config::ConfigError;
use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::run::RunError;

/// Why the service cannot start, or not reload.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A rule names somebody who does not exist.
    #[error(transparent)]
    Account(#[from] UnknownAccount),
    /// The engine, the audit or the grants folder cannot be used.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The audit cannot be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The kept results cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What `[server.tcp]` names cannot be used, or its address.
    #[error(transparent)]
    Tcp(#[from] TcpError),
    /// Grants files or components that cannot be used.
    #[error("{}", problems.join("\n"))]
    Tasks {
        /// One line for each.
        problems: Vec<String>,
    },
    /// A setting that is read once.
    #[error("`{what}` has changed, which takes a restart")]
    NeedsRestart {
        /// Which.
        what: &'static str,
    },
    /// The socket cannot be opened.
    #[error("cannot listen on `{}`", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another service listens there.
    #[error("another process listens on `{}`", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
}

impl Diagnostic for ServeError {
    fn exit(&self) -> Exit {
        match self {
            Self::Config(error) => error.exit(),
            Self::Account(error) => error.exit(),
            Self::Run(error) => error.exit(),
            Self::Audit(error) => error.exit(),
            Self::Store(error) => error.exit(),
            Self::Tcp(error) => error.exit(),
            Self::Tasks { .. } | Self::NeedsRestart { .. } => Exit::Usage,
            Self::Listen { .. } | Self::InUse { .. } => Exit::Usage,
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Run(error) => error.blame(),
            _ => Blame::Operator,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint(),
            Self::Account(error) => error.hint(),
            Self::Run(error) => error.hint(),
            Self::Audit(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Tcp(error) => error.hint(),
            Self::Tasks { .. } => None,
            Self::NeedsRestart { .. } => Some(
                "restart the service: it drains first, and clients find their runs again"
                    .to_owned(),
            ),
            Self::Listen { .. } => Some(
                "its folder must exist and be the service's own; `socket` under [server] names it"
                    .to_owned(),
            ),
            Self::InUse { .. } => Some(
                "stop the other service, or give this one its own `socket` under [server]"
                    .to_owned(),
            ),
        }
    }
}

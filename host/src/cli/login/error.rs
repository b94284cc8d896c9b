//! Why nobody could log in.

use std::time::Duration;

use crate::diagnostic::{Blame, Diagnostic, Exit};

/// Why nobody could log in.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoginError {
    /// Nowhere to put the token.
    #[error("it is not said which file the token goes into")]
    NoTokenFile,
    /// A default of ours that does not parse.
    #[error("{0}")]
    Default(&'static str),
    /// The port cannot be listened on.
    #[error("port {port} of 127.0.0.1 cannot be listened on")]
    Port {
        /// The port.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// The browser did not come back.
    #[error("nobody came back from the browser within {}", humantime::format_duration(*.0))]
    NobodyCame(Duration),
    /// The provider sent the browser back without a code.
    #[error("the identity provider refuses the log-in")]
    Denied,
}

impl From<&'static str> for LoginError {
    fn from(text: &'static str) -> Self {
        Self::Default(text)
    }
}

impl Diagnostic for LoginError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoTokenFile | Self::Default(_) | Self::Port { .. } => Exit::Usage,
            Self::NobodyCame(_) | Self::Denied => Exit::Denied,
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Default(_) => Blame::Host,
            _ => Blame::Operator,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoTokenFile => {
                "name it in `[vault.auth.oidc]`, or with `--token-file`".to_owned()
            }
            Self::Port { .. } => {
                "another log-in may be under way; else take another `--port`, one that the role's `allowed_redirect_uris` name".to_owned()
            }
            Self::NobodyCame(_) => "run it again; `--wait` gives more time".to_owned(),
            Self::Denied => {
                "ask whoever keeps the identity provider to admit this person".to_owned()
            }
            Self::Default(_) => return None,
        })
    }
}

//! Why policies cannot be printed or written.

use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::name::TaskName;
use crate::vault::path::InvalidVaultPath;
use crate::vault::policy::PolicyError;

/// Why policies cannot be printed or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum PolicyCommandError {
    /// Nowhere to write to.
    #[error("the configuration has no `[vault]` to write to")]
    NoVault,
    /// A task logs in as itself, and nothing says as whom the host vouches.
    #[error("the task `{task}` logs in as itself, and the configuration has no `[vault.identity]`")]
    NoIdentity {
        /// The task.
        task: TaskName,
    },
    /// A policy that cannot be written as text.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A name that Vault could misread.
    #[error(transparent)]
    Name(#[from] InvalidVaultPath),
}

impl Diagnostic for PolicyCommandError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        match self {
            Self::NoVault | Self::NoIdentity { .. } => Blame::Operator,
            Self::Policy(_) | Self::Name(_) => Blame::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoVault => {
                Some("add the table `[vault]` with an `address` to `cofferdam.toml`".to_owned())
            }
            Self::NoIdentity { .. } => Some(
                "add the table `[vault.identity]` with `issuer` and `audience` to `cofferdam.toml`"
                    .to_owned(),
            ),
            Self::Policy(_) | Self::Name(_) => None,
        }
    }
}

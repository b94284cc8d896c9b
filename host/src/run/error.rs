//! Why a run did not reach its guest.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::audit::AuditError;
use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::engine::LoadError;
use crate::grants::{GrantsError, WiderLimit};
use crate::identity::Assurance;
use crate::vault::VaultError;

/// Where on the line a run stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Phase {
    /// Opening or writing the audit.
    Audit,
    /// Resolving the grants.
    Grants,
    /// Loading the component.
    Component,
    /// Opening the authority.
    Authority,
    /// Running the guest: a fault of the host.
    Guest,
    /// A word that only a later version has: read, never said.
    #[serde(other)]
    Unknown,
}

/// Why a run did not reach its guest, or lost it to a fault of the host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The audit cannot be written; nothing runs without it.
    #[error("the audit cannot be written, and nothing runs without it")]
    Audit(#[from] AuditError),
    /// The grants file cannot be used.
    #[error(transparent)]
    Grants(#[from] GrantsError),
    /// The caller may not run the task.
    #[error("{assurance} dag_id `{dag_id}` may not run task `{task}`")]
    Caller {
        /// The task.
        task: String,
        /// Who asked.
        dag_id: String,
        /// How far that can be trusted.
        assurance: Assurance,
        /// The weakest assurance that the grants accept.
        demanded: Assurance,
    },
    /// The input is larger than the grants allow.
    #[error("the input is {size} bytes, but `limits.input` of the grants allows {limit}")]
    InputTooLarge {
        /// Bytes of the input.
        size: usize,
        /// Bytes that are allowed.
        limit: usize,
    },
    /// A limit that the caller asks for is wider than the grants'.
    #[error(transparent)]
    Limit(#[from] WiderLimit),
    /// The component cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Vault did not give an authority.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The grants need Vault, but the configuration has none.
    #[error("the grants of task `{task}` need Vault, but cofferdam.toml has no [vault]")]
    NoVault {
        /// The task.
        task: String,
    },
    /// Vault took longer than the whole task may.
    #[error("vault gave no authority within the task's time limit of {limit:?}")]
    Slow {
        /// `limits.timeout` of the grants.
        limit: Duration,
    },
    /// The attempt was cancelled before its guest started.
    #[error("the attempt was cancelled before the task started")]
    Cancelled,
    /// A panic of the host.
    #[error("the host failed while the task ran; this is a bug in cofferdam")]
    Panic,
}

impl RunError {
    /// Where on the line the run stopped.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Audit(_) => Phase::Audit,
            Self::Grants(_) | Self::Caller { .. } | Self::InputTooLarge { .. } | Self::Limit(_) => {
                Phase::Grants
            }
            Self::Load(_) => Phase::Component,
            Self::Vault(_) | Self::NoVault { .. } | Self::Slow { .. } | Self::Cancelled => {
                Phase::Authority
            }
            Self::Panic => Phase::Guest,
        }
    }
}

impl Diagnostic for RunError {
    fn exit(&self) -> Exit {
        match self {
            Self::Audit(error) => error.exit(),
            Self::Grants(error) => error.exit(),
            Self::Caller { .. } => Exit::Denied,
            Self::InputTooLarge { .. } | Self::Limit(_) | Self::NoVault { .. } => Exit::Usage,
            Self::Load(error) => error.exit(),
            Self::Vault(error) => error.exit(),
            Self::Slow { .. } => Exit::Unavailable,
            Self::Cancelled => Exit::Cancelled,
            Self::Panic => Exit::Trapped,
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Audit(error) => error.blame(),
            Self::Grants(error) => error.blame(),
            Self::Caller { .. } | Self::InputTooLarge { .. } | Self::Limit(_) | Self::Cancelled => {
                Blame::Task
            }
            Self::NoVault { .. } | Self::Slow { .. } => Blame::Operator,
            Self::Load(error) => error.blame(),
            Self::Vault(error) => error.blame(),
            Self::Panic => Blame::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Audit(error) => error.hint(),
            Self::Grants(error) => error.hint(),
            Self::Caller {
                assurance: Assurance::Claimed,
                demanded: Assurance::Attested,
                ..
            } => Some(
                "the grants demand an attested identity; for local runs security can set \
                 `identity = \"claimed\"` under [caller]"
                    .to_owned(),
            ),
            Self::Caller { dag_id, .. } => Some(format!(
                "ask security to add \"{dag_id}\" to `dags` under [caller] of the grants file"
            )),
            Self::InputTooLarge { .. } => Some(
                "pass a reference to the data instead, or ask security to raise `limits.input`"
                    .to_owned(),
            ),
            Self::Limit(limit) => Some(limit.cure()),
            Self::NoVault { .. } => {
                Some("add a [vault] table; docs/GRANTS.md shows one".to_owned())
            }
            Self::Load(error) => error.hint(),
            Self::Vault(error) => error.hint(),
            Self::Slow { .. } => Some(
                "run `cofferdam doctor` to see how each node of Vault does; if Vault is only slow, \
                 ask security to raise `timeout` under [limits] of the grants file"
                    .to_owned(),
            ),
            Self::Cancelled => None,
            Self::Panic => Some("please report it, with the audit of this run".to_owned()),
        }
    }
}

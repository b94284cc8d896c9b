//! What the host says when it refuses.

use std::error::Error;
use std::fmt;

use crate::bindings::cofferdam::capabilities::types;

/// The host refused, or could not do, what the task asked.
///
/// It never carries a text from a server behind the host. A person with
/// access to the audit finds the whole story under [`audit_ref`](Self::audit_ref).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    kind: Denial,
    retryable: bool,
    audit_ref: String,
    subject: String,
}

/// Why the host refused. Closed: the WIT contract has these and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Denial {
    /// The task has no grant of this name and kind.
    NotGranted,
    /// The grant does not cover this operation or target.
    OutOfScope,
    /// The authority behind the handle ran out.
    Expired,
    /// The authority behind the handle was revoked, or the attempt has ended.
    Revoked,
    /// A limit of the grants file was reached.
    LimitReached,
    /// The arguments are malformed.
    InvalidArgument,
    /// The secret store or the destination cannot be reached now.
    Unavailable,
    /// The host itself failed.
    Internal,
}

impl Refusal {
    pub(crate) fn new(failure: types::Failure, subject: impl Into<String>) -> Self {
        Self {
            kind: failure.kind.into(),
            retryable: failure.retryable,
            audit_ref: failure.audit_ref,
            subject: subject.into(),
        }
    }

    /// Why.
    pub fn kind(&self) -> Denial {
        self.kind
    }

    /// True when the same call may succeed later in the same attempt.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// The audit record that explains the refusal.
    pub fn audit_ref(&self) -> &str {
        &self.audit_ref
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused: {}", self.subject, self.kind)?;
        if self.audit_ref.is_empty() {
            return Ok(());
        }
        write!(f, " (audit {})", self.audit_ref)
    }
}

impl Error for Refusal {}

impl Denial {
    /// The name in the WIT contract, such as `out-of-scope`.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotGranted => "not-granted",
            Self::OutOfScope => "out-of-scope",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::LimitReached => "limit-reached",
            Self::InvalidArgument => "invalid-argument",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotGranted => "the task has no such grant",
            Self::OutOfScope => "the grant does not cover this",
            Self::Expired => "its authority has expired",
            Self::Revoked => "its authority was revoked",
            Self::LimitReached => "a limit of the grants file is reached",
            Self::InvalidArgument => "an argument is malformed",
            Self::Unavailable => "it cannot be reached now",
            Self::Internal => "the host failed",
        })
    }
}

impl From<types::Denial> for Denial {
    fn from(denial: types::Denial) -> Self {
        match denial {
            types::Denial::NotGranted => Self::NotGranted,
            types::Denial::OutOfScope => Self::OutOfScope,
            types::Denial::Expired => Self::Expired,
            types::Denial::Revoked => Self::Revoked,
            types::Denial::LimitReached => Self::LimitReached,
            types::Denial::InvalidArgument => Self::InvalidArgument,
            types::Denial::Unavailable => Self::Unavailable,
            types::Denial::Internal => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_well() {
        let failure = types::Failure {
            kind: types::Denial::OutOfScope,
            retryable: false,
            audit_ref: "run-1#7".to_owned(),
        };
        let refusal = Refusal::new(failure, "GET admin on `billing`");
        assert_eq!(
            refusal.to_string(),
            "GET admin on `billing` refused: the grant does not cover this (audit run-1#7)"
        );
        assert_eq!(refusal.kind().name(), "out-of-scope");
    }
}

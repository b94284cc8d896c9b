//! Why Vault could not be used.

mod connection;
mod kind;
mod operation;

use std::path::PathBuf;

use super::browser::TokenSlotError;
use super::identity::IdentityKeyError;
use super::journal::JournalError;
use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::secret::{CredentialFileError, CredentialVariableError};

pub use connection::ConnectionFault;
pub use kind::VaultErrorKind;
pub use operation::Operation;

/// Why Vault could not be used. No variant carries a secret or a server's text
/// beyond what its documentation fixes.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// No whole exchange took place.
    #[error("vault at {address} is not reachable: {fault}")]
    Unreachable {
        /// The configured address.
        address: String,
        /// How.
        fault: ConnectionFault,
        /// False when it is certain that the request never left.
        maybe_sent: bool,
    },
    /// Vault is sealed.
    #[error("vault at {address} is sealed")]
    Sealed {
        /// The configured address.
        address: String,
    },
    /// Vault has never been initialised.
    #[error("vault at {address} is not initialised")]
    NotInitialised {
        /// The configured address.
        address: String,
    },
    /// None of several nodes can carry an attempt.
    #[error("no node of vault can serve: {nodes}")]
    NoNode {
        /// Each configured address and how it does.
        nodes: String,
    },
    /// Vault cannot serve this now: 412, 429, 472, 473, 5xx.
    #[error("vault cannot serve the {operation} now (status {status})")]
    Overloaded {
        /// What was asked.
        operation: Operation,
        /// The HTTP status.
        status: u16,
        /// How long Vault asks to wait.
        retry_after: Option<std::time::Duration>,
    },
    /// What came back is no answer of Vault's: something before it answered.
    #[error("the answer to the {operation} is not vault's (status {status})")]
    NotVault {
        /// What was asked.
        operation: Operation,
        /// The HTTP status.
        status: u16,
    },
    /// 403 for a token that lives, or another plain refusal.
    #[error("vault refuses the {operation} on `{path}`")]
    Refused {
        /// What was asked.
        operation: Operation,
        /// The API path.
        path: String,
    },
    /// Vault knows no such log-in.
    #[error("vault refuses the log-in at `auth/{mount}`")]
    LoginRefused {
        /// The method's mount.
        mount: String,
        /// The cure, a fixed text.
        cure: &'static str,
    },
    /// The log-in works but cannot carry attempts.
    #[error("the log-in cannot carry attempts: {reason}")]
    LoginUnusable {
        /// A fixed text.
        reason: &'static str,
        /// The cure, a fixed text.
        cure: &'static str,
    },
    /// The log-in ends before the attempt would.
    #[error(
        "the log-in lives for {login_seconds} s, less than the {needed_seconds} s that the attempt may need"
    )]
    LoginTooShort {
        /// What the log-in has left.
        login_seconds: u64,
        /// What was needed.
        needed_seconds: u64,
    },
    /// A file with a credential cannot be used.
    #[error(transparent)]
    CredentialFile(#[from] CredentialFileError),
    /// An environment variable with a credential cannot be used.
    #[error(transparent)]
    CredentialVariable(#[from] CredentialVariableError),
    /// The file for a person's token cannot be written or removed.
    #[error(transparent)]
    TokenSlot(#[from] TokenSlotError),
    /// AWS's chain of credentials gave none.
    #[error("no credentials for AWS: {fault}")]
    AwsCredentials {
        /// A fixed text.
        fault: &'static str,
    },
    /// The wrapping token is used up or expired.
    #[error("the wrapped secret-id in {} is used up or expired", file.display())]
    WrappedUsedUp {
        /// The file.
        file: PathBuf,
    },
    /// The wrapped answer was made by another request than expected: an alarm.
    #[error(
        "the wrapped secret-id in {} was not made by `{expected}`: somebody may have taken the real one", file.display()
    )]
    WrappedWrongPath {
        /// The file.
        file: PathBuf,
        /// The expected creation path.
        expected: String,
    },
    /// Vault minted something else than what was asked; it is revoked.
    #[error("vault minted another token than the one asked for: {difference}")]
    MintMismatch {
        /// The difference in words, policy names included.
        difference: String,
        /// False when the token that was refused could not be revoked.
        revoked: bool,
    },
    /// An attempt's own log-in gave another token than its grants say; it is revoked.
    #[error("the log-in to `{role}` gave another token than the grants say: {difference}")]
    LoginMismatch {
        /// The role's path.
        role: String,
        /// The difference in words, policy names included.
        difference: String,
        /// False when the token that was refused could not be revoked.
        revoked: bool,
    },
    /// There is no key to sign a JWT with.
    #[error(transparent)]
    IdentityKey(#[from] IdentityKeyError),
    /// There is nothing at this path.
    #[error("there is nothing at `{path}` in vault")]
    NotFound {
        /// The API path.
        path: String,
    },
    /// Vault calls the request malformed.
    #[error("vault calls the {operation} on `{path}` invalid")]
    Invalid {
        /// What was asked.
        operation: Operation,
        /// The API path.
        path: String,
    },
    /// The answer is larger than the host reads.
    #[error("vault's answer to the {operation} is larger than {limit} bytes")]
    TooLarge {
        /// What was asked.
        operation: Operation,
        /// The limit in bytes.
        limit: usize,
    },
    /// An answer that makes no sense.
    #[error("vault's answer to the {operation} makes no sense: {fault}")]
    Protocol {
        /// What was asked.
        operation: Operation,
        /// A fixed text.
        fault: &'static str,
    },
    /// The `[vault]` settings cannot be used.
    #[error("the `[vault]` settings cannot be used: {fault}")]
    Settings {
        /// The field and what is wrong with it.
        fault: String,
    },
    /// What came has no lease, so it could not be ended.
    #[error("vault gives no lease with what it makes at `{path}`")]
    NoLease {
        /// The API path.
        path: String,
    },
    /// The lease is over, and the grant does not let it be replaced.
    #[error("the lease of the credential of `{path}` has ended")]
    LeaseEnded {
        /// The API path.
        path: String,
    },
    /// The engine could not end what the lease stands for.
    #[error("vault could not end a lease: the engine behind it failed")]
    LeaseStays,
    /// The attempt has leased as much as one may.
    #[error("the attempt has {limit} leases already")]
    TooManyLeases {
        /// The limit.
        limit: usize,
    },
    /// Too many answers were lost that may have made a credential.
    #[error("{times} answers of vault that may have made a credential were lost")]
    LeaseAnswersLost {
        /// How many.
        times: u32,
    },
    /// The attempt's authority has ended.
    #[error("the attempt's authority has ended")]
    Closed,
    /// Somebody ended the attempt's token in Vault before the attempt was over.
    #[error("the attempt's token was ended in vault before the attempt was over")]
    Ended,
    /// The journal cannot be kept, so nothing may be minted.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl VaultError {
    /// The same error once more, when it says that there is no Vault to ask: for
    /// those who waited for the one who asked.
    pub(in crate::vault) fn as_outage(&self) -> Option<Self> {
        Some(match self {
            Self::Unreachable { address, fault, .. } => Self::Unreachable {
                address: address.clone(),
                fault: *fault,
                // For whoever gets this, nothing was sent.
                maybe_sent: false,
            },
            Self::Overloaded {
                operation,
                status,
                retry_after,
            } => Self::Overloaded {
                operation: *operation,
                status: *status,
                retry_after: *retry_after,
            },
            Self::Sealed { address } => Self::Sealed {
                address: address.clone(),
            },
            _ => return None,
        })
    }

    /// The class of the error.
    pub fn kind(&self) -> VaultErrorKind {
        match self {
            Self::Unreachable { .. }
            | Self::Sealed { .. }
            | Self::NotInitialised { .. }
            | Self::NoNode { .. }
            | Self::Overloaded { .. }
            | Self::NotVault { .. }
            | Self::LeaseAnswersLost { .. } => VaultErrorKind::Unavailable,
            Self::Refused { .. }
            | Self::LoginRefused { .. }
            | Self::LoginUnusable { .. }
            | Self::LoginTooShort { .. }
            | Self::WrappedWrongPath { .. }
            | Self::MintMismatch { .. }
            | Self::LoginMismatch { .. } => VaultErrorKind::Denied,
            Self::CredentialFile(_)
            | Self::CredentialVariable(_)
            | Self::AwsCredentials { .. }
            | Self::TokenSlot(_)
            | Self::IdentityKey(_)
            | Self::WrappedUsedUp { .. }
            | Self::Settings { .. }
            | Self::NoLease { .. }
            | Self::Journal(_) => VaultErrorKind::Configuration,
            Self::NotFound { .. } => VaultErrorKind::NotFound,
            Self::Invalid { .. } => VaultErrorKind::Invalid,
            Self::TooLarge { .. } | Self::Protocol { .. } => VaultErrorKind::Internal,
            Self::Closed | Self::Ended => VaultErrorKind::Closed,
            Self::LeaseEnded { .. } => VaultErrorKind::Expired,
            Self::TooManyLeases { .. } => VaultErrorKind::Limit,
            Self::LeaseStays => VaultErrorKind::Engine,
        }
    }

    /// A log-in that is dead as soon as it is made.
    pub(super) fn tokens_die_at_once() -> Self {
        Self::LoginUnusable {
            reason: "its tokens die as soon as they are made",
            cure: "look for whoever revokes the tokens of the host's log-in role, and for a proxy before vault that refuses everything",
        }
    }

    /// Whether a request that makes a token may have made one although it
    /// failed: the answer was lost, or made no sense.
    pub(super) fn may_have_made_a_token(&self) -> bool {
        match self {
            Self::Unreachable { maybe_sent, .. } => *maybe_sent,
            Self::Overloaded { status, .. } => *status >= 500,
            Self::Protocol { .. } | Self::TooLarge { .. } => true,
            _ => false,
        }
    }

    /// Whether a token may live that nobody ends: one whose answer was lost, or
    /// one that was refused and could not be revoked.
    pub(crate) fn may_have_left_a_token(&self) -> bool {
        let stayed = matches!(
            self,
            Self::MintMismatch { revoked: false, .. } | Self::LoginMismatch { revoked: false, .. }
        );
        stayed || self.may_have_made_a_token()
    }

    /// Whether a request that makes a credential may have made one although
    /// it failed. A 500 is the engine's own word that it did not.
    pub(super) fn may_have_leased(&self) -> bool {
        match self {
            Self::Overloaded { status, .. } => matches!(status, 502 | 504),
            other => other.may_have_made_a_token(),
        }
    }

    /// The same refusal of a token that could not be revoked.
    pub(super) fn unrevoked(mut self) -> Self {
        if let Self::MintMismatch { revoked, .. } | Self::LoginMismatch { revoked, .. } = &mut self
        {
            *revoked = false;
        }
        self
    }

    /// A fixed word for reports and the audit.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Sealed { .. } => "sealed",
            Self::NotInitialised { .. } => "not_initialised",
            Self::NoNode { .. } => "no_node",
            Self::Overloaded { .. } => "overloaded",
            Self::NotVault { .. } => "not_vault",
            Self::Refused { .. } => "refused",
            Self::LoginRefused { .. } => "login_refused",
            Self::LoginUnusable { .. } | Self::LoginTooShort { .. } => "login_unusable",
            Self::CredentialFile(_) => "credential_file",
            Self::CredentialVariable(_) => "credential_variable",
            Self::AwsCredentials { .. } => "aws_credentials",
            Self::TokenSlot(_) => "token_file",
            Self::WrappedUsedUp { .. } => "wrapped_used_up",
            Self::WrappedWrongPath { .. } => "wrapped_wrong_path",
            Self::MintMismatch { .. } => "mint_mismatch",
            Self::LoginMismatch { .. } => "login_mismatch",
            Self::IdentityKey(_) => "identity_key",
            Self::NotFound { .. } => "not_found",
            Self::Invalid { .. } => "invalid",
            Self::TooLarge { .. } => "too_large",
            Self::Protocol { .. } => "protocol",
            Self::Settings { .. } => "settings",
            Self::NoLease { .. } => "no_lease",
            Self::LeaseEnded { .. } => "lease_ended",
            Self::LeaseStays => "engine_failed",
            Self::TooManyLeases { .. } => "too_many_leases",
            Self::LeaseAnswersLost { .. } => "answers_lost",
            Self::Closed => "closed",
            Self::Ended => "ended",
            Self::Journal(_) => "journal",
        }
    }
}

impl Diagnostic for VaultError {
    fn exit(&self) -> Exit {
        match self.kind() {
            VaultErrorKind::Unavailable
            | VaultErrorKind::Internal
            | VaultErrorKind::Closed
            | VaultErrorKind::Engine => Exit::Unavailable,
            VaultErrorKind::Denied
            | VaultErrorKind::NotFound
            | VaultErrorKind::Invalid
            | VaultErrorKind::Expired
            | VaultErrorKind::Limit => Exit::Denied,
            VaultErrorKind::Configuration => Exit::Usage,
        }
    }

    fn blame(&self) -> Blame {
        match self.kind() {
            VaultErrorKind::Internal | VaultErrorKind::Closed => Blame::Host,
            _ => Blame::Operator,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { fault: ConnectionFault::WrongName, .. } => {
                "correct `address`, or set `tls_server_name` in `[vault]` to the name that the certificate holds".to_owned()
            }
            Self::Unreachable { fault: ConnectionFault::WrongTime, .. } => {
                "check this host's clock and set it right; if it is, renew the server's certificate".to_owned()
            }
            Self::Unreachable { .. } => {
                "check `address` (and `ca_file`) in `[vault]`, and that the server runs".to_owned()
            }
            Self::Sealed { .. } => "unseal it; nothing was minted".to_owned(),
            Self::NotInitialised { .. } => "initialise and unseal it first".to_owned(),
            Self::NoNode { .. } => {
                "unseal, start or mend one of them; nothing was minted".to_owned()
            }
            Self::Overloaded { .. } => "try again later; ask the server's operator when it stays".to_owned(),
            Self::Refused { operation: Operation::Mint, .. }
            | Self::Invalid { operation: Operation::Mint, .. } => {
                "the host's policy and the token role are written by `cofferdam policy --host --write`".to_owned()
            }
            Self::Refused { operation: Operation::Read | Operation::Key | Operation::Lease, .. } => {
                "the task's policy is written by `cofferdam policy TASK --write`".to_owned()
            }
            Self::Refused { operation: Operation::Review, .. } => {
                "the reviewer's token is dead or may not read it; `cofferdam policy --reviewer` prints the policy that it needs".to_owned()
            }
            Self::Refused { operation: Operation::Write, .. } => {
                "the token in the admin token file may not write policies and token roles".to_owned()
            }
            Self::Refused { .. } | Self::Invalid { .. } | Self::NotFound { .. } => return None,
            Self::LoginRefused { cure, .. } | Self::LoginUnusable { cure, .. } => (*cure).to_owned(),
            Self::LoginTooShort { .. } => {
                "raise the `token_ttl` of the host's log-in role, or lower the task's `timeout`".to_owned()
            }
            Self::CredentialFile(error) => error.hint().unwrap_or_default(),
            Self::CredentialVariable(error) => error.hint().unwrap_or_default(),
            Self::TokenSlot(error) => error.hint().unwrap_or_default(),
            Self::AwsCredentials { .. } => {
                "the host looks where AWS's own tools do: environment, shared files, web identity, container, machine; `aws sts get-caller-identity` under the host's user shows what they find".to_owned()
            }
            Self::WrappedUsedUp { .. } => {
                "a wrapped secret-id serves one process: write a fresh one; if no process of yours used it, treat it as stolen".to_owned()
            }
            Self::WrappedWrongPath { .. } => {
                "do not use it: revoke the AppRole's secret-ids, find out who had the file, and deliver a new one".to_owned()
            }
            Self::MintMismatch { revoked: true, .. } => {
                "take the entity or its groups of the host's log-in out of other policies, and write the token role again with `cofferdam policy --host --write`; the token was revoked".to_owned()
            }
            Self::MintMismatch { revoked: false, .. } => {
                "the refused token could not be revoked: run `cofferdam sweep`; then write the token role again with `cofferdam policy --host --write`".to_owned()
            }
            Self::LoginMismatch { revoked: true, .. } => {
                "write the role again with `cofferdam policy TASK --write`, and take the DAG's entity out of groups with policies; the token was revoked".to_owned()
            }
            Self::LoginMismatch { revoked: false, .. } => {
                "the refused token could not be revoked: run `cofferdam sweep`; then write the role again with `cofferdam policy TASK --write`".to_owned()
            }
            Self::IdentityKey(error) => return error.hint(),
            Self::Journal(error) => error.cure().to_owned(),
            Self::TooLarge { .. } | Self::Protocol { .. } | Self::NotVault { .. } => {
                "check that `address` is a Vault or OpenBao server and not something before it".to_owned()
            }
            Self::Ended => {
                "find in vault's audit who revoked it or the host's log-in, and run the task again".to_owned()
            }
            Self::NoLease { .. } => {
                "`dynamic` is for engines that lease, such as database or rabbitmq; a secret of a KV engine is `kv1` or `kv2`, a database's static role `static`".to_owned()
            }
            Self::LeaseEnded { .. } => {
                "raise the `max_ttl` of the role in vault, or let the grant say `refresh = \"refetch\"`".to_owned()
            }
            Self::LeaseStays => {
                "see to the database, or whatever the engine manages; then run `cofferdam sweep`".to_owned()
            }
            Self::LeaseAnswersLost { .. } => "run the task again when vault answers in time".to_owned(),
            Self::Settings { .. } | Self::Closed | Self::TooManyLeases { .. } => return None,
        })
    }
}

//! What was asked of Vault.

/// What was asked of Vault, in words for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumCount, strum::EnumIter)]
pub enum Operation {
    /// A log-in.
    #[strum(serialize = "log-in")]
    LogIn,
    /// Asking which request made a wrapped answer.
    #[strum(serialize = "check of the wrapped secret-id")]
    WrapLookup,
    /// Taking the secret-id out of its wrapping.
    #[strum(serialize = "unwrapping of the secret-id")]
    Unwrap,
    /// Making an attempt's token.
    #[strum(serialize = "mint")]
    Mint,
    /// Ending a token.
    #[strum(serialize = "revocation")]
    Revoke,
    /// Asking whether a token lives.
    #[strum(serialize = "token lookup")]
    Lookup,
    /// Putting a token's end off.
    #[strum(serialize = "renewal")]
    Renew,
    /// Asking for a credential with a lease.
    #[strum(serialize = "request for a credential")]
    Lease,
    /// Putting a lease's end off.
    #[strum(serialize = "renewal of a lease")]
    RenewLease,
    /// Ending a lease.
    #[strum(serialize = "revocation of a lease")]
    RevokeLease,
    /// Asking how a node does.
    #[strum(serialize = "health check")]
    Health,
    /// Reading a KV secret.
    #[strum(serialize = "read")]
    Read,
    /// Using a transit key.
    #[strum(serialize = "key operation")]
    Key,
    /// Writing a policy or a role.
    #[strum(serialize = "write")]
    Write,
    /// Reading a policy, a role or an identity with a reviewer's token.
    #[strum(serialize = "review")]
    Review,
}

impl Operation {
    /// A fixed word for machines, such as a label of a metric.
    pub fn word(self) -> &'static str {
        match self {
            Self::LogIn => "log_in",
            Self::WrapLookup => "wrap_lookup",
            Self::Unwrap => "unwrap",
            Self::Mint => "mint",
            Self::Revoke => "revoke",
            Self::Lookup => "lookup",
            Self::Renew => "renew",
            Self::Lease => "lease",
            Self::RenewLease => "renew_lease",
            Self::RevokeLease => "revoke_lease",
            Self::Health => "health",
            Self::Read => "read",
            Self::Key => "key",
            Self::Write => "write",
            Self::Review => "review",
        }
    }
}

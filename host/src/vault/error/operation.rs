//! What was asked of Vault.

/// What was asked of Vault, in words for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
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

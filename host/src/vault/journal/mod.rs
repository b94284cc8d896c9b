//! What survives a kill: one 0600 file per token that this host made.
//!
//! A file is created and locked, and the intent written, before the token is
//! asked for; its accessor is added before the token is first used, and the id
//! of each lease before its credential is; the file is cleared when Vault
//! confirmed that all of them are dead, and then waits, blank and locked, for
//! the next attempt, or goes. The lock lives as long as the process, so an
//! unlocked file belongs to nobody who lives, and only such files are swept.
//!
//! A kill needs no sync at all: what was written is in the kernel. Syncs are for
//! a power loss. What has no parent that a sweep would find is on the disk
//! before it is used: log-ins, the tokens of attempts that log in as themselves
//! or under a lent token, leases. A child token is not waited for: its log-in's
//! file is on the disk, and Vault ends it with its log-in. A token minted in
//! the instant before was never used and dies by its `explicit_max_ttl`.
//!
//! The folder must be on a local file system: locks over NFS are not relied on.

mod entry;
mod error;
mod folder;
mod left;
mod record;
mod slot;

pub(super) use entry::{Entry, Keep};
pub use error::JournalError;
pub(super) use folder::{Found, Journal};
pub use record::AuthorityKind;
pub(super) use record::Intent;

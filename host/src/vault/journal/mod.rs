//! What survives a kill: a 0600 record of each token that this host made.
//!
//! A record is lines: the intent, written before the token is asked for; the
//! accessor, before the token is first used; the id of each lease, before its
//! credential is. It is cleared when Vault confirmed that all of them are dead.
//!
//! The records of a process's attempts stand in the blocks of one file, the
//! segment, and blank blocks wait for attempts to come. A log-in has a file of its
//! own, and so has a record that its block has no room for, or that its owner let
//! go without an end. A file is created and locked before it says anything. The
//! lock lives as long as the process, so an unlocked file belongs to nobody who
//! lives, and only such files are swept.
//!
//! A kill needs no sync at all: what was written is in the kernel. Syncs are for
//! a power loss. What has no parent that a sweep would find is on the disk
//! before it is used: log-ins, the tokens of attempts that log in as themselves
//! or under a lent token, leases. A child token is not waited for: its log-in's
//! file is on the disk, and Vault ends it with its log-in. A token minted in
//! the instant before was never used and dies by its `explicit_max_ttl`.
//!
//! The order is: line in the kernel, sync of its file begun after that, once for
//! each file a sync of the folder, use. Whoever waits for the same file at the same
//! time shares its syncs, so that under load a segment has few. Who stops waiting
//! leaves the line where it is. After a sync that failed nobody can tell what is on
//! the disk: no attempt begins in that segment any more, and whoever is in it has
//! his next lines, with all the ones before, in a new file.
//!
//! A record that moves is written whole, and on the disk if it has to be, before
//! its block is cleared. A kill in between leaves both; a sweep sees that they are
//! one.
//!
//! The folder must be on a local file system: locks over NFS are not relied on.

mod entry;
mod error;
mod file;
mod find;
mod left;
mod place;
mod process;
mod record;
mod seen;
mod segment;
mod shelf;
mod slot;

pub(super) use entry::{Entry, Keep};
pub use error::JournalError;
pub(super) use find::Found;
pub use place::Place;
pub(super) use process::Journal;
pub use record::AuthorityKind;
pub(super) use record::Intent;
pub(super) use seen::Seen;

//! The audit: JSON lines in a hash chain. A host process has one chain at a time: a
//! file that is full or broken is followed by another, whose chain names the head before.
//!
//! [`AuditLog`] writes, [`verify`] checks, [`show`] shows. What a line is
//! made of stands in `line.rs`; what the chain proves and what not, in
//! docs/AUDIT.md.

mod error;
mod event;
mod files;
mod head;
mod line;
mod log;
mod timeline;
mod verify;

#[cfg(test)]
mod tests;

pub use error::AuditError;
pub use event::{Decision, Event, OutcomeKind, Statement};
pub(crate) use files::sync_chains;
pub use files::{ChainStart, chain_files, chain_start};
pub use log::{AuditLog, AuditOptions, AuditRef, Link, Recorder, SealedAudit, Unsynced};
pub use timeline::{Shown, show};
pub use verify::{Anchor, ChainReport, Finding, FindingKind, parse_head, verify};

//! The audit: JSON lines in a hash chain, one chain per host process.

mod error;
mod event;
mod log;

pub use error::AuditError;
pub use event::{Decision, Event, OutcomeKind};
pub use log::{AuditLog, AuditRef, Recorder, SealedAudit};

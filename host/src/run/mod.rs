//! One run is one straight line. `Line::walk` reads as the list in
//! ARCHITECTURE.md: request, audit, grants, component, authority, instance,
//! guest, revocation, report, seal. Each step takes the type that the step
//! before made, so the order cannot be rearranged; that nobody is told before the
//! seal is [`Over`]'s affair.

mod cancellation;
mod ending;
mod error;
mod line;
mod opening;
mod over;
mod plain;
mod report;
mod request;
mod runner;
mod spans;

pub use cancellation::{Cancellation, Canceller};
pub use error::RunError;
pub(crate) use over::Over;
pub use report::{AuditReport, MissingRights, Outcome, RevocationReport, RunReport};
pub use request::{InvalidRequest, RunRequest};
pub use runner::{PreparedTask, Runner};

//! What a task may ask of the host. One capability, one folder, named as its
//! WIT file; a capability never sees a token and never another capability.
//!
//! Every call goes through one frame ([`call`]): match the grant, write the
//! audit intent, use, write the audit outcome, answer with a closed result.

mod attempt;
pub mod bindings;
mod call;
mod context;
mod control;
mod credential;
mod field;
pub mod http;
pub mod keys;
mod ledger;
mod log;
pub mod network;
pub mod reveal;
pub mod sql;
mod view;

pub use attempt::{Attempt, AttemptParts};
pub use call::DenialKind;
pub use control::Pulse;
pub use credential::{CredentialSource, Refresh};
pub use field::FieldError;
pub use ledger::{Denial, RefusedByVault};
pub use log::{LINE_COST, LONGEST_LINE, LogLevel, LogLine, LogSink, TaskLog};
pub use view::{Capabilities, View};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

//! What a task may ask of the host. One capability, one folder, named as its
//! WIT file; a capability never sees a token and never another capability.

mod attempt;
pub mod bindings;
mod context;
mod control;
pub mod http;
pub mod keys;
mod log;
pub mod reveal;
mod view;

pub use attempt::{Attempt, AttemptParts, Denial};
pub use control::Pulse;
pub use log::{LogLevel, LogLine, LogSink, TaskLog};
pub use view::{Capabilities, View};

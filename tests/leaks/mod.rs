//! The secret comes back in every way that a server, a task or a failure can
//! bring it back, and is found nowhere.

mod hunt;
mod memory;
mod requests;
mod streams;
pub(crate) mod traces;
mod upstream;

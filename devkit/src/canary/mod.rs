//! Secrets that are searched for afterwards.
//!
//! The search is written apart from the host's scrubber on purpose: a spelling
//! that the scrubber forgot must not be forgotten here too.

mod forms;
mod hunt;

pub use forms::Canary;
pub use hunt::{Hunt, Sighting};

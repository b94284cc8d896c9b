//! What one task may do, for whom, and within which limits: the file that the
//! security reviewer reads. Parsing does no I/O; [`load`] is the edge that reads.

mod caller;
mod document;
mod error;
mod limits;
mod load;

pub use caller::CallerRule;
pub use document::Grants;
pub use error::GrantsError;
pub use limits::Limits;
pub use load::load;

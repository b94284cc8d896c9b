//! What one task may do, for whom, and within which limits: the file that the
//! security reviewer reads. Parsing does no I/O; [`load`] is the edge that reads.

mod authority;
mod caller;
mod cover;
mod document;
mod error;
mod limits;
mod load;

pub use authority::JwtAuthority;
pub use caller::CallerRule;
pub use cover::{Uncovered, uncovered, unused};
pub use document::Grants;
pub use error::GrantsError;
pub use limits::{Limits, RunLimits, WiderLimit};
pub use load::{GrantsFile, load, load_all, manifest, pinned};

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

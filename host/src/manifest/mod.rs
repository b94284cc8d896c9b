//! What a component says about itself: its name, what it needs, and the
//! shape of its input and output. `cofferdam build` embeds it, so that a
//! review needs only the component file.
//!
//! A manifest is a claim of the task's author. It grants nothing; the grants
//! file does, and `cofferdam check` compares the two.

mod document;
mod error;
mod imports;
mod inspect;
mod section;
mod task_file;

pub use document::{FORMAT, Manifest, NeedKind};
pub use error::{InspectError, ManifestError, TaskFileError};
pub use imports::{NotAComponent, Shape, shape};
pub use inspect::{Description, Inspection, inspect};
pub use section::{MAX_SECTION, SECTION};
pub use task_file::TaskFile;

//! Where in the journal something stands.

use std::fmt;
use std::path::PathBuf;

/// A file of the journal, or one block of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Which block, from 0; none for all of the file.
    pub block: Option<u32>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match self.block {
            Some(block) => write!(f, ", block {block}"),
            None => Ok(()),
        }
    }
}

//! The host's journal, read from outside.

use std::path::{Path, PathBuf};

use anyhow::Result;

/// The files of the journal below this state folder that say something, and what
/// they say. A process that lives keeps blank ones for attempts to come, and one
/// that was killed leaves them.
pub fn written(state: &Path) -> Result<Vec<(PathBuf, String)>> {
    let folder = state.join("journal");
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut written = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let text = match std::fs::read_to_string(&path) {
            // Its owner is done with it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            text => text?,
        };
        let text = text.trim_end_matches('\0').to_owned();
        if !text.is_empty() {
            written.push((path, text));
        }
    }
    Ok(written)
}

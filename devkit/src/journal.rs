//! The host's journal, read from outside.

use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// What one token has in a file of many.
pub const BLOCK: usize = 4096;

/// What the journal says of one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The file that it stands in.
    pub file: PathBuf,
    /// Which block of it, in a file of many.
    pub block: Option<usize>,
    /// Its lines.
    pub text: String,
}

/// The records of the journal below this state folder. A process that lives keeps
/// blank blocks for attempts to come, and one that was killed leaves them.
pub fn written(state: &Path) -> Result<Vec<Record>> {
    let folder = state.join("journal");
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut written = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        written.extend(said(&entry?.path())?);
    }
    Ok(written)
}

/// The records of one file.
fn said(file: &Path) -> Result<Vec<Record>> {
    let bytes = match std::fs::read(file) {
        // Its owner is done with it.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        bytes => bytes?,
    };
    let is_of_many = file.extension().is_some_and(|it| it == "journal");
    let length = if is_of_many {
        BLOCK
    } else {
        bytes.len().max(1)
    };
    let records = bytes.chunks(length).enumerate().map(|(number, bytes)| {
        let text = String::from_utf8_lossy(bytes);
        Record {
            file: file.to_owned(),
            block: is_of_many.then_some(number),
            text: text.trim_end_matches('\0').to_owned(),
        }
    });
    Ok(records.filter(|record| !record.text.is_empty()).collect())
}

impl Record {
    /// Whether it is an attempt's token, and no log-in.
    pub fn is_attempt(&self) -> bool {
        let intent = self.text.lines().next().unwrap_or_default();
        intent.contains("\"kind\":\"attempt\"")
    }

    /// Whether its place still says something.
    pub fn is_there(&self) -> Result<bool> {
        let records = said(&self.file)?;
        Ok(records.iter().any(|record| record.block == self.block))
    }

    /// Puts other lines in its place.
    pub fn rewrite(&self, text: &str) -> Result<()> {
        let Some(block) = self.block else {
            return Ok(std::fs::write(&self.file, text)?);
        };
        let mut bytes = text.as_bytes().to_vec();
        anyhow::ensure!(bytes.len() <= BLOCK, "a block has {BLOCK} bytes");
        bytes.resize(BLOCK, 0);
        let file = std::fs::OpenOptions::new().write(true).open(&self.file)?;
        Ok(file.write_all_at(&bytes, (block * BLOCK) as u64)?)
    }

    /// Takes it out of the journal.
    pub fn remove(&self) -> Result<()> {
        match self.block {
            Some(_) => self.rewrite(""),
            None => Ok(std::fs::remove_file(&self.file)?),
        }
    }
}

//! Finding and reading the files of chains.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::line::MAX_LINE;
use super::{AuditError, Link};

/// The chains at a path: the file itself, or every `.jsonl` of a folder, the
/// oldest first.
///
/// # Errors
/// When it cannot be read, or when a folder has none.
pub fn chain_files(path: &Path) -> Result<Vec<PathBuf>, AuditError> {
    let failed = |source| AuditError::Read {
        path: path.to_owned(),
        source,
    };
    if !path.metadata().map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in path.read_dir().map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|e| e == "jsonl") {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(AuditError::Empty {
            path: path.to_owned(),
        });
    }
    files.sort();
    Ok(files)
}

/// What was written so long ago the kernel has written back: it does after half a minute
/// (`vm.dirty_expire_centisecs`). A sync of each file of years would take a start long.
const WRITTEN_BACK: Duration = Duration::from_hours(1);

/// Has the disk take what killed processes wrote lately to the chains of a folder.
///
/// # Errors
/// When one cannot be opened or synced; the others are, all the same.
pub(crate) fn sync_chains(folder: &Path) -> Result<(), AuditError> {
    let mut failed = Ok(());
    for path in chain_files(folder)? {
        let sync = |file: File| match file.metadata()?.modified()?.elapsed() {
            Ok(since) if since > WRITTEN_BACK => Ok(()),
            // One of the future is of a clock that was set back.
            Ok(_) | Err(_) => file.sync_data(),
        };
        let synced = File::open(&path).and_then(sync);
        failed = failed.and(synced.map_err(|source| AuditError::Io { path, source }));
    }
    failed
}

/// What the first line of a chain says about its place among others.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ChainStart {
    /// The chain's id.
    pub chain: String,
    /// The chain after which it began; none for the first of a process.
    pub previous: Option<Link>,
}

/// Reads the first line of a file; none when it does not say. Whether it is
/// genuine, only [`verify`](super::verify) finds out.
///
/// # Errors
/// When the file cannot be read.
pub fn chain_start(path: &Path) -> Result<Option<ChainStart>, AuditError> {
    let mut buffer = Vec::new();
    let read = |file| match next_line(&mut BufReader::new(file), &mut buffer)? {
        Some(Raw::Line(bytes)) => Ok(serde_json::from_slice(bytes).ok()),
        _ => Ok(None),
    };
    File::open(path)
        .and_then(read)
        .map_err(|source| AuditError::Read {
            path: path.to_owned(),
            source,
        })
}

/// One line of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Raw<'a> {
    /// Without its line break.
    Line(&'a [u8]),
    /// Longer than any line of ours; skipped.
    TooLong,
    /// The file ends without a line break.
    Torn(&'a [u8]),
}

/// Reads the next line into the buffer, of which at most [`MAX_LINE`] bytes are
/// kept; none at the end.
pub(super) fn next_line<'a>(
    input: &mut impl BufRead,
    buffer: &'a mut Vec<u8>,
) -> io::Result<Option<Raw<'a>>> {
    buffer.clear();
    let mut len = 0;
    loop {
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = memchr::memchr(b'\n', available);
        let (text, used) = match end {
            Some(end) => (available.get(..end).unwrap_or_default(), end + 1),
            None => (available, available.len()),
        };
        len += text.len();
        if len <= MAX_LINE {
            buffer.extend_from_slice(text);
        }
        let at_end = used == 0;
        input.consume(used);
        let raw = match (end, at_end) {
            (None, false) => continue,
            (None, true) if len == 0 => return Ok(None),
            _ if len > MAX_LINE => Raw::TooLong,
            (Some(_), _) => Raw::Line(buffer),
            (None, true) => Raw::Torn(buffer),
        };
        return Ok(Some(raw));
    }
}

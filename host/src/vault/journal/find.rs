//! What a sweep finds behind a name.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;

use super::file::{LockedFile, is_unlinked};
use super::place::Place;
use super::record::{self, Record};
use super::segment::{BLOCK, MOST_BLOCKS, Segment};
use super::shelf::Shelf;
use super::slot::Slot;
use super::{Entry, JournalError};

/// What is said of one token is under a kilobyte without leases; a thousand of
/// them, as long as they may be, have two thirds of this.
const MAX_FILE: u64 = 1 << 20;

/// Stands for a block that cannot be read.
const DAMAGED: &[u8] = b"?";

/// What a sweep finds behind a name. A file without any of these is gone or says
/// nothing: then nothing is alive that it would tell of.
pub(in crate::vault) enum Found {
    /// So many tokens of a process that lives, or another sweep has them.
    Live(usize),
    /// Left behind; locked by us now.
    Left(Box<Entry>),
    /// Not of our making, or damaged.
    Unreadable(Place),
}

/// Takes a file when nobody holds it.
pub(super) fn take(shelf: &Arc<Shelf>, path: &Path) -> Result<Vec<Found>, JournalError> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(_) => return Ok(vec![Found::Unreadable(whole(path))]),
    };
    let is_segment = is_segment(path);
    match file.try_lock() {
        Ok(()) => {}
        // A process keeps some that say nothing, for attempts to come.
        Err(TryLockError::WouldBlock) => {
            let live = said(&file, is_segment).map_err(JournalError::io(path, "read"))?;
            return Ok((live > 0)
                .then_some(Found::Live(live))
                .into_iter()
                .collect());
        }
        Err(TryLockError::Error(error)) => {
            return Err(JournalError::io(path, "locked")(error));
        }
    }
    // Its owner closed it properly between our opening and our lock.
    if is_unlinked(&file, path)? {
        return Ok(Vec::new());
    }
    let said = if is_segment {
        blocks(&file).map_err(JournalError::io(path, "inspected"))?
    } else {
        let mut text = Vec::new();
        (&file)
            .take(MAX_FILE)
            .read_to_end(&mut text)
            .map_err(JournalError::io(path, "read"))?;
        vec![(0, text)]
    };
    let said: Vec<_> = (said.into_iter())
        .filter(|(_, text)| !is_blank(text))
        .collect();
    if said.is_empty() {
        // Killed between creating and writing or after clearing, or about to
        // write: then the owner sees our lock, or that the name is gone.
        std::fs::remove_file(path).map_err(JournalError::io(path, "removed"))?;
        return Ok(Vec::new());
    }
    let file = LockedFile::of(file, path.to_owned());
    if is_segment {
        return Ok(left_in(shelf, file, &said));
    }
    Ok(vec![match said.first().and_then(|(_, text)| read(text)) {
        Some((record, length)) => left(shelf, Slot::found(file, length), record),
        None => Found::Unreadable(whole(path)),
    }])
}

/// The blocks of a segment. One that the disk does not give is damaged and takes nothing
/// from the others.
pub(super) fn blocks(file: &File) -> io::Result<Vec<(u32, Vec<u8>)>> {
    let there = file.metadata()?.len().div_ceil(BLOCK as u64);
    // One too many shows that there are more than there may be.
    let there = u32::try_from(there)
        .unwrap_or(u32::MAX)
        .min(MOST_BLOCKS + 1);
    let blocks = (0..there).map(|number| {
        let mut text = vec![0; BLOCK];
        match read_at(file, &mut text, u64::from(number) * BLOCK as u64) {
            Ok(length) => text.truncate(length),
            Err(error) => {
                tracing::warn!(%error, number, "a block of the journal cannot be read");
                text = DAMAGED.to_vec();
            }
        }
        (number, text)
    });
    Ok(blocks.collect())
}

/// Reads until there is no room or no more.
fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    let mut length = 0;
    while let Some(room) = into.get_mut(length..).filter(|room| !room.is_empty()) {
        match file.read_at(room, at + length as u64) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// What these blocks of a segment tell.
fn left_in(shelf: &Arc<Shelf>, file: LockedFile, said: &[(u32, Vec<u8>)]) -> Vec<Found> {
    let numbers: Vec<_> = said.iter().map(|(number, _)| *number).collect();
    shelf.left.keep_blocks(&file.path, &numbers);
    // Those that cannot be read, or are too many, keep the file.
    let used = u32::try_from(said.len()).unwrap_or(u32::MAX);
    let segment = Segment::swept(file, used);
    let found = said.iter().map(|(number, text)| match read(text) {
        Some((record, length)) if *number < MOST_BLOCKS => {
            left(shelf, Slot::block(&segment, *number, length), record)
        }
        _ => Found::Unreadable(Place {
            path: segment.file.path.clone(),
            block: Some(*number),
        }),
    });
    found.collect()
}

fn left(shelf: &Arc<Shelf>, slot: Slot, record: Record) -> Found {
    if record.unreadable > 0 {
        tracing::warn!(
            lines = record.unreadable,
            "lines of a journal file cannot be read; the others count"
        );
    }
    Found::Left(Box::new(Entry {
        shelf: Arc::clone(shelf),
        slot: Some(slot),
        record,
    }))
}

/// A record, and how long its lines are.
fn read(text: &[u8]) -> Option<(Record, usize)> {
    let written = text.iter().rposition(|&byte| byte != 0)? + 1;
    let record = record::parse(text.get(..written)?)?;
    Some((record, written))
}

fn whole(path: &Path) -> Place {
    Place {
        path: path.to_owned(),
        block: None,
    }
}

/// By its name, [`Segment::create`].
fn is_segment(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.starts_with(b"attempts-") && name.ends_with(b".journal")
}

/// After a power loss a disk may have the first part only of what was cleared.
fn is_blank(text: &[u8]) -> bool {
    text.first().is_none_or(|&byte| byte == 0)
}

/// How many tokens a file that another process holds tells of at this moment.
fn said(file: &File, is_segment: bool) -> io::Result<usize> {
    let blocks = if is_segment { MOST_BLOCKS } else { 1 };
    let mut said = 0;
    for block in 0..blocks {
        let mut first = [0];
        if file.read_at(&mut first, u64::from(block) * BLOCK as u64)? == 0 {
            break;
        }
        said += usize::from(!is_blank(&first));
    }
    Ok(said)
}

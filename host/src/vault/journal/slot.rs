//! Where the lines of one token stand.

use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::JournalError;
use super::file::LockedFile;
use super::place::Place;
use super::segment::{BLOCK, Segment};

const BLANK: [u8; BLOCK] = [0; BLOCK];

/// Lines, and NUL bytes up to its end. One that begins with a NUL is blank: what
/// it told of is dead.
pub(super) struct Slot {
    pub(super) file: Arc<LockedFile>,
    /// Which block of a segment; none for all of a file.
    block: Option<Block>,
    /// How long the lines are; `None` when behind them stands a piece of one that
    /// could not be taken back.
    pub(super) length: Option<u64>,
}

/// A block that is in use.
struct Block {
    segment: Arc<Segment>,
    number: u32,
}

impl Slot {
    /// All of a new file, with these lines.
    pub(super) fn whole(file: LockedFile, lines: &[u8]) -> Result<Self, JournalError> {
        // A line that goes into room that is there already changes no metadata,
        // and a sync of it writes one block.
        let mut filled = lines.to_vec();
        filled.resize(lines.len().max(BLOCK), 0);
        if let Err(error) = file.file.write_all_at(&filled, 0) {
            // Half an intent would be reported as unreadable for ever.
            file.remove();
            return Err(JournalError::io(&file.path, "written")(error));
        }
        Ok(Self::found(file, lines.len()))
    }

    /// All of a file that says something already.
    pub(super) fn found(file: LockedFile, length: usize) -> Self {
        Self {
            file: Arc::new(file),
            block: None,
            length: Some(length as u64),
        }
    }

    /// This block, whose lines are so long.
    pub(super) fn block(segment: &Arc<Segment>, number: u32, length: usize) -> Self {
        Self {
            file: Arc::clone(&segment.file),
            block: Some(Block {
                segment: Arc::clone(segment),
                number,
            }),
            length: Some(length as u64),
        }
    }

    pub(super) fn place(&self) -> Place {
        Place {
            path: self.file.path.clone(),
            block: self.block.as_ref().map(|block| block.number),
        }
    }

    /// Whether its file belongs to a process that lives, and to others of it.
    pub(super) fn is_of_our_segment(&self) -> bool {
        (self.block.as_ref()).is_some_and(|block| block.segment.is_ours)
    }

    /// Whether all of its file is its own.
    pub(super) fn is_whole(&self) -> bool {
        self.block.is_none()
    }

    /// Whether a line may be added: there is room, a sync of it can succeed, and
    /// a sweep would find it.
    pub(super) fn takes(&self, line: &[u8]) -> bool {
        let fits = match (self.length, &self.block) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(length), Some(_)) => length.saturating_add(line.len() as u64) <= BLOCK as u64,
        };
        fits && !self.file.has_failed() && !self.file.is_unlinked()
    }

    /// Adds a line. One that did not fit is taken back, so that the next one is
    /// not glued to a piece of it: neither could be read then.
    pub(super) fn write(&mut self, line: &[u8]) -> Result<(), JournalError> {
        let Some(length) = self.length else {
            return Err(self.unwritten(ErrorKind::InvalidData.into()));
        };
        let begin = self.begin().saturating_add(length);
        let mut written = 0;
        while let Some(rest) = line.get(written..).filter(|rest| !rest.is_empty()) {
            let went = match self.file.file.write_at(rest, begin + written as u64) {
                Ok(0) => Err(ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
                went => went,
            };
            match went {
                Ok(more) => written += more,
                Err(error) => {
                    if self.blank(begin, written).is_err() {
                        self.length = None;
                    }
                    return Err(self.unwritten(error));
                }
            }
        }
        self.length = Some(length + written as u64);
        Ok(())
    }

    /// What it told of is dead. Inline: it takes microseconds. The disk need not
    /// know: after a power loss the sweep finds a token that Vault no longer knows.
    pub(super) fn done(self) {
        let Some(block) = &self.block else {
            self.file.replace();
            return self.file.remove();
        };
        // With a piece of a line that stayed: all of it.
        let length = self.length.and_then(|length| usize::try_from(length).ok());
        match self.blank(self.begin(), length.unwrap_or(BLOCK)) {
            Ok(()) => block.segment.put_back(block.number),
            // It stays in use: after this process a sweep finds it, and asks.
            Err(error) => tracing::warn!(%error, "a block of a dead token could not be cleared"),
        }
    }

    /// Writes NULs, up to a block of them.
    fn blank(&self, begin: u64, length: usize) -> io::Result<()> {
        let blank = BLANK.get(..length).ok_or(ErrorKind::InvalidData)?;
        self.file.file.write_all_at(blank, begin)
    }

    /// Where it begins in its file.
    fn begin(&self) -> u64 {
        let number = self.block.as_ref().map_or(0, |block| block.number);
        u64::from(number) * BLOCK as u64
    }

    fn unwritten(&self, error: io::Error) -> JournalError {
        JournalError::io(&self.file.path, "written")(error)
    }
}

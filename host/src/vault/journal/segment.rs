//! One file for the attempts of a process, in blocks: all who wait for the disk
//! share its syncs.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::JournalError;
use super::file::LockedFile;
use super::shelf::Shelf;
use super::slot::Slot;
use crate::lock::Mutex;

/// What one token has: a block of most file systems, and a page of memory, so
/// that nobody writes where the disk is being given another's lines. A line that
/// goes into room that is there already changes no metadata, so a sync writes
/// blocks and nothing else. An attempt with a dozen leases fits.
pub(super) const BLOCK: usize = 4096;

/// How many blocks a segment has at most: 4 MiB. Who finds none has a file of its
/// own.
pub(super) const MOST_BLOCKS: u32 = 1024;

/// How many are added at once at most: 256 KiB of NULs are written within a tenth
/// of a millisecond. Each growth is a change of metadata: the next sync commits
/// the file system's own journal as well, 0.3 ms in place of 0.1, for all who
/// share it. The first time one block is enough for a process of one attempt;
/// then there are twice as many each time.
const MOST_NEW: u32 = 64;

/// What nobody has written yet is left for the accessor and a lease.
const LONGEST_INTENT: usize = BLOCK / 2;

/// Locked for as long as anybody has a block of it.
pub(super) struct Segment {
    pub(super) file: Arc<LockedFile>,
    /// False for one that a sweep took: its process is gone.
    pub(super) is_ours: bool,
    blocks: Mutex<Blocks>,
}

#[derive(Default)]
struct Blocks {
    /// How many the file has.
    made: u32,
    /// Those that wait for an attempt. There are never more than attempts were
    /// under way at once.
    blank: Vec<u32>,
    /// How many tell of something, readable or not.
    used: u32,
    /// No attempt gets one any more; the file goes with the last one in use.
    is_retired: bool,
}

impl Segment {
    /// A new file, without blocks yet.
    pub(super) fn create(shelf: &Shelf) -> Result<Arc<Self>, JournalError> {
        let name = || format!("attempts-{}.journal", uuid::Uuid::now_v7());
        Ok(Arc::new(Self {
            file: Arc::new(shelf.create(name)?),
            is_ours: true,
            blocks: Mutex::default(),
        }))
    }

    /// One whose process is gone, with so many blocks that say something.
    pub(super) fn swept(file: LockedFile, used: u32) -> Arc<Self> {
        Arc::new(Self {
            file: Arc::new(file),
            is_ours: false,
            blocks: Mutex::new(Blocks {
                used,
                is_retired: true,
                ..Blocks::default()
            }),
        })
    }

    /// A block with these lines; none when they are long, or no block is left, or
    /// it was retired in this instant.
    pub(super) fn take(self: &Arc<Self>, lines: &[u8]) -> Result<Option<Slot>, JournalError> {
        if lines.len() > LONGEST_INTENT {
            return Ok(None);
        }
        let number = {
            let mut blocks = self.blocks.lock();
            if blocks.is_retired {
                return Ok(None);
            }
            if blocks.blank.is_empty() {
                self.grow(&mut blocks)?;
            }
            let Some(number) = blocks.blank.pop() else {
                return Ok(None);
            };
            blocks.used += 1;
            number
        };
        let mut slot = Slot::block(self, number, 0);
        match slot.write(lines) {
            Ok(()) => Ok(Some(slot)),
            Err(error) => {
                // Nothing was asked for yet, and half an intent would be
                // reported as unreadable for ever.
                slot.done();
                Err(error)
            }
        }
    }

    /// Takes a block back that is blank again.
    pub(super) fn put_back(&self, number: u32) {
        let mut blocks = self.blocks.lock();
        blocks.used = blocks.used.saturating_sub(1);
        if !blocks.is_retired {
            blocks.blank.push(number);
        } else if blocks.used == 0 {
            self.file.remove();
        }
    }

    /// No attempt gets a block any more. Removes the file unless it says something.
    pub(super) fn retire(&self) {
        let mut blocks = self.blocks.lock();
        blocks.is_retired = true;
        if blocks.used == 0 {
            self.file.remove();
        }
    }

    /// Adds blocks, if there may be more.
    fn grow(&self, blocks: &mut Blocks) -> Result<(), JournalError> {
        let new = blocks.made.clamp(1, MOST_NEW);
        let new = new.min(MOST_BLOCKS.saturating_sub(blocks.made));
        // Written and not only counted: else the disk may be full when a line is.
        let zeros = vec![0; BLOCK * new as usize];
        let end = u64::from(blocks.made) * BLOCK as u64;
        self.file
            .file
            .write_all_at(&zeros, end)
            .map_err(JournalError::io(&self.file.path, "written"))?;
        // The first one is on top.
        let (first, next) = (blocks.made, blocks.made + new);
        blocks.blank.extend((first..next).rev());
        blocks.made = next;
        Ok(())
    }
}

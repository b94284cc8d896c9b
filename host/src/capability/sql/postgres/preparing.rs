//! Statements under preparation, and how much the server may say about them.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::guard::Violation;

/// Most answers of the server while one statement is prepared. Of a type that
/// the driver does not know it asks the catalogue, and of the type that this one
/// is made from again, each time one level deeper on its stack: a server that
/// always names another ends the process. An ordinary type takes one answer, an
/// enum two. So many levels are less than 1 MiB of stack, in a debug build.
const MAX_ANSWERS: u32 = 200;

/// Most bytes of these answers: the driver collects the labels of an enum and
/// the fields of a row type.
const MAX_PREPARED: usize = 1 << 20;

/// What the server has answered while statements are prepared; shared by the
/// session and its guard.
#[derive(Debug, Default)]
pub(super) struct Preparing {
    statements: AtomicU32,
    answers: AtomicU32,
    bytes: AtomicUsize,
}

/// A statement is being prepared, until this is dropped.
pub(super) struct Prepares<'p>(&'p Preparing);

impl Preparing {
    /// From here on answers count.
    pub(super) fn begin(&self) -> Prepares<'_> {
        if self.statements.fetch_add(1, Ordering::AcqRel) == 0 {
            self.answers.store(0, Ordering::Release);
            self.bytes.store(0, Ordering::Release);
        }
        Prepares(self)
    }

    /// A message begins.
    pub(super) fn see(&self, kind: u8, length: usize) -> Result<(), Violation> {
        if self.statements.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        let bytes = self.bytes.fetch_add(length, Ordering::AcqRel);
        // An answer ends with the server's word that it is ready.
        let answers = match kind {
            b'Z' => self.answers.fetch_add(1, Ordering::AcqRel),
            _ => 0,
        };
        if bytes.saturating_add(length) > MAX_PREPARED || answers >= MAX_ANSWERS {
            return Err(Violation::Types);
        }
        Ok(())
    }
}

impl Drop for Prepares<'_> {
    fn drop(&mut self) {
        self.0.statements.fetch_sub(1, Ordering::AcqRel);
    }
}

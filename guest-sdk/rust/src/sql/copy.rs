//! Bulk data.

use std::io::{self, Read, Write};
use std::marker::PhantomData;

use super::{Connection, Error};
use crate::bindings::cofferdam::capabilities::sql as host;

/// How much goes over in one call into the host.
const CHUNK: usize = 64 * 1024;

/// A `COPY … FROM STDIN` under way: write its data, then [`finish`](Self::finish).
/// Dropped before that, nothing of it was loaded.
#[derive(Debug)]
pub struct CopyIn<'c> {
    handle: host::CopyWriter,
    subject: String,
    statement: String,
    waiting: Vec<u8>,
    connection: PhantomData<&'c Connection>,
}

/// A `COPY … TO STDOUT` under way: read it as [`std::io::Read`].
#[derive(Debug)]
pub struct CopyOut<'c> {
    handle: host::CopyReader,
    subject: String,
    statement: String,
    connection: PhantomData<&'c Connection>,
}

impl CopyIn<'_> {
    pub(super) fn new(handle: host::CopyWriter, subject: String, statement: &str) -> Self {
        Self {
            handle,
            subject,
            statement: statement.to_owned(),
            waiting: Vec::with_capacity(CHUNK),
            connection: PhantomData,
        }
    }

    /// Ends the data; how many rows were loaded.
    pub fn finish(mut self) -> Result<u64, Error> {
        self.send()?;
        let loaded = self.handle.finish();
        loaded.map_err(|error| Error::new(error, &self.subject, &self.statement))
    }

    fn send(&mut self) -> Result<(), Error> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let sent = self.handle.write(&self.waiting);
        self.waiting.clear();
        sent.map_err(|error| Error::new(error, &self.subject, &self.statement))
    }
}

impl Write for CopyIn<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let room = CHUNK.saturating_sub(self.waiting.len());
        let part = data.get(..room.min(data.len())).unwrap_or_default();
        self.waiting.extend_from_slice(part);
        if self.waiting.len() >= CHUNK {
            self.send().map_err(io::Error::other)?;
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send().map_err(io::Error::other)
    }
}

impl CopyOut<'_> {
    pub(super) fn new(handle: host::CopyReader, subject: String, statement: &str) -> Self {
        Self {
            handle,
            subject,
            statement: statement.to_owned(),
            connection: PhantomData,
        }
    }
}

impl Read for CopyOut<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let max = u32::try_from(buffer.len().min(CHUNK)).unwrap_or_default();
        if max == 0 {
            return Ok(0);
        }
        let chunk = self
            .handle
            .read(max)
            .map_err(|error| io::Error::other(Error::new(error, &self.subject, &self.statement)))?;
        // The contract says at most `max` bytes.
        match buffer.get_mut(..chunk.len()) {
            Some(front) => {
                front.copy_from_slice(&chunk);
                Ok(chunk.len())
            }
            None => Err(io::Error::other(
                "the host returned more than was asked for",
            )),
        }
    }
}

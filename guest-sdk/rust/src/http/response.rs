//! An answer.

use std::io::{self, Read};

use serde::de::DeserializeOwned;

use super::Error;
use crate::bindings::cofferdam::capabilities::http as host;

/// How much of a body one call into the host asks for.
const CHUNK: u32 = 64 * 1024;

/// An answer. Its body is read once, from front to end: whole with
/// [`json`](Self::json), [`text`](Self::text) or [`bytes`](Self::bytes), or in
/// pieces as [`std::io::Read`].
#[derive(Debug)]
pub struct Response {
    handle: host::Response,
    subject: String,
}

impl Response {
    pub(super) fn new(handle: host::Response, subject: String) -> Self {
        Self { handle, subject }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.handle.status()
    }

    /// The headers that the grant lets through, in order; a name may repeat.
    pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
        self.handle.headers()
    }

    /// The first header of this name, when it is text. Names are case-insensitive.
    pub fn header(&self, name: &str) -> Option<String> {
        let headers = self.headers().into_iter();
        let mut values = headers.filter(|(other, _)| other.eq_ignore_ascii_case(name));
        values
            .next()
            .and_then(|(_, value)| String::from_utf8(value).ok())
    }

    /// The answer itself, or [`Error::Status`] when its status is 400 or more.
    pub fn error_for_status(self) -> Result<Self, Error> {
        match self.status() {
            status @ 400.. => Err(Error::Status(status)),
            _ => Ok(self),
        }
    }

    /// The whole body as JSON.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        serde_json::from_slice(&self.bytes()?).map_err(Error::Decode)
    }

    /// The whole body as text.
    pub fn text(self) -> Result<String, Error> {
        String::from_utf8(self.bytes()?).map_err(|_| Error::NotText)
    }

    /// The whole body.
    pub fn bytes(self) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        loop {
            let piece = self.next_piece(CHUNK)?;
            if piece.is_empty() {
                return Ok(body);
            }
            body.extend_from_slice(&piece);
        }
    }

    fn next_piece(&self, max: u32) -> Result<Vec<u8>, Error> {
        let piece = self.handle.read(max);
        piece.map_err(|error| Error::new(error, self.subject.as_str()))
    }
}

impl Read for Response {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let max = u32::try_from(buffer.len()).map_or(CHUNK, |len| len.min(CHUNK));
        if max == 0 {
            return Ok(0);
        }
        let piece = self.next_piece(max).map_err(io::Error::other)?;
        // The contract says at most `max` bytes.
        match buffer.get_mut(..piece.len()) {
            Some(front) => {
                front.copy_from_slice(&piece);
                Ok(piece.len())
            }
            None => Err(io::Error::other(
                "the host returned more than was asked for",
            )),
        }
    }
}

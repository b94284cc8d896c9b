//! The body of a response: received, decoded and scrubbed as the task reads it.

use std::time::Instant;

use tokio::task::yield_now;

use super::decode::{DecodeError, Decoder};
use super::transport;
use crate::capability::attempt::AT_ONCE;
use crate::capability::bindings::cofferdam::capabilities::http::{Error, TransportError};
use crate::capability::call::Call;
use crate::scrub::{Scrubber, SecretSet};

/// Most bytes that one `read` returns; the guest chooses `max` and the host
/// allocates it.
const MAX_READ: usize = 1 << 20;

/// A body under way. It keeps the call open: the audit's outcome is written at
/// its end, with the bytes and the redactions.
pub(super) struct Body {
    source: Option<Source>,
    ready: Vec<u8>,
    taken: usize,
    failed: Option<Failed>,
    received: u64,
    redactions: u64,
    call: Option<Call>,
}

/// What the body comes from, until its end.
struct Source {
    response: reqwest::Response,
    decoder: Decoder,
    scrubber: Option<Scrubber>,
    decoded: Vec<u8>,
    /// What was received and decoded since others had a turn.
    since: usize,
    limit: usize,
    deadline: Instant,
}

/// Why it broke off; every later read says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failed {
    Transport(TransportError),
    TooLarge(u64),
}

impl Body {
    /// The body of a response, still to be received.
    pub(super) fn new(
        response: reqwest::Response,
        decoder: Decoder,
        limit: usize,
        deadline: Instant,
        secrets: &SecretSet,
        redactions: u64,
        call: Call,
    ) -> Self {
        Self {
            source: Some(Source {
                response,
                decoder,
                scrubber: (!secrets.is_empty()).then(|| secrets.scrubber()),
                decoded: Vec::new(),
                since: 0,
                limit,
                deadline,
            }),
            redactions,
            ..Self::over(Some(call))
        }
    }

    /// The body of a response that has none.
    pub(super) fn none(mut call: Call, redactions: u64) -> Self {
        call.detail("bytes_received", 0);
        call.detail("redactions", redactions);
        call.done();
        Self::over(None)
    }

    fn over(call: Option<Call>) -> Self {
        Self {
            source: None,
            ready: Vec::new(),
            taken: 0,
            failed: None,
            received: 0,
            redactions: 0,
            call,
        }
    }

    /// Up to `max` clean bytes (at least 1, at most [`MAX_READ`]); empty at the end.
    pub(super) async fn read(&mut self, max: u32) -> Result<Vec<u8>, Error> {
        while self.taken == self.ready.len() && self.failed.is_none() {
            let Some(source) = self.source.as_mut() else {
                return Ok(Vec::new());
            };
            self.ready.clear();
            self.taken = 0;
            match source.pull(&mut self.ready).await {
                Ok(Pulled::More(bytes)) => self.received += bytes,
                Ok(Pulled::End) => self.end(),
                Err(failed) => self.fail(failed),
            }
        }
        if let Some(failed) = self.failed {
            return Err(failed.into());
        }
        let max = usize::try_from(max).unwrap_or(MAX_READ).clamp(1, MAX_READ);
        let left = self.ready.get(self.taken..).unwrap_or_default();
        let part = left.get(..max).unwrap_or(left).to_vec();
        self.taken += part.len();
        Ok(part)
    }

    /// The task lets go of the response before its end.
    pub(super) fn abandon(mut self) {
        self.note_counts();
        if let Some(call) = self.call.take() {
            call.done_with("not_read_to_end");
        }
    }

    fn end(&mut self) {
        if let Some(scrubber) = self.source.take().and_then(|source| source.scrubber) {
            self.redactions += scrubber.finish(&mut self.ready);
        }
        self.note_counts();
        if let Some(call) = self.call.take() {
            call.done();
        }
    }

    fn fail(&mut self, failed: Failed) {
        self.source = None;
        self.ready.clear();
        self.taken = 0;
        self.failed = Some(failed);
        self.note_counts();
        if let Some(call) = self.call.take() {
            let word = match failed {
                Failed::Transport(error) => transport::word(error),
                Failed::TooLarge(_) => {
                    call.limit("max_response");
                    "response_too_large"
                }
            };
            call.failed(word);
        }
    }

    fn note_counts(&mut self) {
        if let Some(call) = self.call.as_mut() {
            call.detail("bytes_received", self.received);
            call.detail("redactions", self.redactions);
        }
    }
}

enum Pulled {
    More(u64),
    End,
}

impl Source {
    /// Receives the next chunk and appends what is certainly clean.
    async fn pull(&mut self, clean: &mut Vec<u8>) -> Result<Pulled, Failed> {
        let chunk = tokio::time::timeout_at(self.deadline.into(), self.response.chunk());
        let chunk = chunk
            .await
            .map_err(|_| Failed::Transport(TransportError::Timeout))?
            .map_err(|error| Failed::Transport(transport::classify(&error)))?;
        match &chunk {
            Some(chunk) => {
                for piece in chunk.chunks(self.decoder.piece()) {
                    self.since += piece.len();
                    let decode = |decoder: &mut Decoder, out: &mut _| decoder.push(piece, out);
                    self.take(clean, decode).await?;
                }
            }
            None => self.take(clean, Decoder::finish).await?,
        }
        Ok(match chunk {
            Some(chunk) => Pulled::More(chunk.len() as u64),
            None => Pulled::End,
        })
    }

    /// Decodes, and appends what is certainly clean.
    async fn take(
        &mut self,
        clean: &mut Vec<u8>,
        decode: impl FnOnce(&mut Decoder, &mut Vec<u8>) -> Result<(), DecodeError>,
    ) -> Result<(), Failed> {
        self.decoded.clear();
        decode(&mut self.decoder, &mut self.decoded).map_err(|error| match error {
            DecodeError::TooLarge => Failed::too_large(self.limit),
            DecodeError::Malformed => Failed::Transport(TransportError::Protocol),
        })?;
        for part in self.decoded.chunks(AT_ONCE) {
            match &mut self.scrubber {
                Some(scrubber) => scrubber.push(part, clean),
                None => clean.extend_from_slice(part),
            }
            self.since += part.len();
            if self.since >= AT_ONCE {
                self.since = 0;
                // A task that has had enough of this thread goes on elsewhere.
                yield_now().await;
            }
        }
        Ok(())
    }
}

impl Failed {
    fn too_large(limit: usize) -> Self {
        Self::TooLarge(limit as u64)
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Transport(error) => Self::Transport(error),
            Failed::TooLarge(limit) => Self::TooLarge(limit),
        }
    }
}

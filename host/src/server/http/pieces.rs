//! Answers that are counted for their callers, handed out piece by piece.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use crate::server::budget::Share;

/// The largest piece, in bytes. What is larger in one piece lies in a connection's
/// own buffers, where nobody counts it, however slowly it is read.
pub(super) const PIECE: usize = 64 << 10;

/// The rest of an answer.
pub(super) struct Pieces(Bytes);

/// Memory that is counted for a caller until all of it was sent: a piece that was handed
/// out may wait for long in a connection's buffers.
struct Counted {
    bytes: Bytes,
    _room: Share,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The same bytes, which hold this room as long as any part of them is held.
pub(super) fn counted(bytes: Bytes, room: Share) -> Bytes {
    Bytes::from_owner(Counted { bytes, _room: room })
}

impl Pieces {
    pub(super) fn new(answer: Bytes, room: Share) -> Self {
        Self(counted(answer, room))
    }
}

/// Takes the next piece of what is left, if anything is.
pub(super) fn next(rest: &mut Bytes) -> Option<Bytes> {
    let length = rest.len().min(PIECE);
    (length > 0).then(|| rest.split_to(length))
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = next(&mut self.0);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

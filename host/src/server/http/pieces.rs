//! A large answer, handed out piece by piece.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use crate::server::budget::Share;

/// The largest piece, in bytes. What is larger in one piece lies in a connection's
/// own buffers, where nobody counts it, however slowly it is read.
pub(super) const PIECE: usize = 64 << 10;

/// The rest of an answer, with the memory that it holds.
pub(super) struct Pieces {
    rest: Bytes,
    /// Given back when the last piece is handed out, or nobody wants it.
    room: Option<Share>,
}

impl Pieces {
    pub(super) fn new(answer: Bytes, room: Share) -> Self {
        Self {
            rest: answer,
            room: Some(room),
        }
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        if self.rest.is_empty() {
            self.room = None;
        }
        Poll::Ready((length > 0).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

//! Requests that are answered before their bodies are read.
//!
//! Over HTTP/1 what is left of such a body is in the way of the next request, so that
//! hyper closes the connection, after an answer that does not say so. A client that keeps
//! connections may have sent its next request by then, and gets no answer to it. So the
//! answer says it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, Version, header};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

/// Whether a request's body was read to its end.
pub(super) struct Reading(Option<Arc<AtomicBool>>);

impl Reading {
    /// Has it noted from here on.
    pub(super) fn of(request: Request) -> (Self, Request) {
        if request.version() >= Version::HTTP_2 || request.body().is_end_stream() {
            return (Self(None), request);
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let request = request.map(|body| Body::new(Watched { body, is_over }));
        (Self(Some(seen)), request)
    }

    /// Says in the answer that the connection ends with it, if it does.
    pub(super) fn tell(self, response: &mut Response) {
        if self
            .0
            .is_some_and(|is_over| !is_over.load(Ordering::Relaxed))
        {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
    }
}

struct Watched {
    body: Body,
    is_over: Arc<AtomicBool>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.is_over.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

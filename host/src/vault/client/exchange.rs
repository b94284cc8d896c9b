//! One exchange with one node.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use tracing::Instrument as _;
use zeroize::Zeroizing;

use super::fault::{fault, late};
use super::nodes::Node;
use super::run_tag::RUN;
use super::spans;
use super::{Call, Client, Reply};
use crate::secret::Secret;
use crate::vault::error::Operation;
use crate::vault::stats::RequestOutcome;
use crate::vault::{VaultError, seconds};

/// Largest answer that is read. KV secrets are at most 1 MiB by default
/// (`max_entry_size` of the integrated storage), transit doubles at most.
const MAX_ANSWER: usize = 4 << 20;

/// First allocation for an answer without a declared length.
const FIRST_READ: usize = 4 << 10;

static TOKEN: HeaderName = HeaderName::from_static("x-vault-token");

impl Client {
    /// One exchange with one node, counted and traced.
    pub(super) async fn one(
        &self,
        node: &Node,
        call: &Call,
        token: Option<&Secret>,
        limit: Duration,
    ) -> Result<Reply, VaultError> {
        let asked = self.counters.ask(call.operation);
        let span = spans::request(call.operation, &call.method, &call.path, node);
        let asking = self.ask(node, call, token, limit);
        let answer = asking.instrument(span.clone()).await;
        let outcome = match &answer {
            Ok(reply) => RequestOutcome::of(reply.status),
            Err(error) => RequestOutcome::of_failure(error),
        };
        asked.ended(outcome);
        spans::answered(&span, answer.as_ref().ok(), outcome);
        answer
    }

    async fn ask(
        &self,
        node: &Node,
        call: &Call,
        token: Option<&Secret>,
        limit: Duration,
    ) -> Result<Reply, VaultError> {
        let operation = call.operation;
        let protocol = |fault| VaultError::Protocol { operation, fault };
        let body = call.body.as_ref().map(|body| Bytes::copy_from_slice(body));
        let mut request = Request::new(body.map_or_else(Full::default, Full::new));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = (node.uri(&call.path, call.query.as_deref()))
            .map_err(|_| protocol("the path of the request cannot be sent"))?;
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        if let Some(token) = token {
            let mut value = HeaderValue::from_bytes(token.expose())
                .map_err(|_| protocol("a token with control characters"))?;
            value.set_sensitive(true);
            headers.insert(TOKEN.clone(), value);
        }
        if let Some(run) = &call.run {
            headers.insert(RUN.clone(), run.value());
        }
        if call.body.is_some() {
            let json = HeaderValue::from_static("application/json");
            headers.insert(CONTENT_TYPE, json);
        }
        let (reply, _) = (self.answer(node, operation, &call.path, request, limit)).await?;
        Ok(reply)
    }

    /// Sends this, and reads the whole answer, all in this time.
    pub(super) async fn answer(
        &self,
        node: &Node,
        operation: Operation,
        path: &str,
        request: Request<Full<Bytes>>,
        limit: Duration,
    ) -> Result<(Reply, HeaderMap), VaultError> {
        let answering = async {
            let response = self.connections.send(request).await;
            let response = response.map_err(|error| fault(node, &error, !error.is_connect()))?;
            let (head, body) = response.into_parts();
            let body = read(node, operation, body).await?;
            let reply = Reply {
                operation,
                address: node.address.clone(),
                path: path.to_owned(),
                status: head.status.as_u16(),
                retry_after: retry_after(&head.headers),
                body,
            };
            Ok((reply, head.headers))
        };
        let answered = tokio::time::timeout(limit, answering).await;
        answered.unwrap_or_else(|_| Err(late(node)))
    }
}

/// Reads a body, up to [`MAX_ANSWER`].
async fn read(
    node: &Node,
    operation: Operation,
    mut body: Incoming,
) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let declared = body.size_hint().exact();
    let first = (declared.and_then(|length| usize::try_from(length).ok())).unwrap_or(FIRST_READ);
    let mut whole = Zeroizing::new(Vec::with_capacity(first.min(MAX_ANSWER)));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| fault(node, &error, true))?;
        // Trailers say nothing to us.
        let Some(chunk) = frame.data_ref() else {
            continue;
        };
        if whole.len() + chunk.len() > MAX_ANSWER {
            return Err(VaultError::TooLarge {
                operation,
                limit: MAX_ANSWER,
            });
        }
        append(&mut whole, chunk);
    }
    Ok(whole)
}

/// Appends without leaving a copy behind in a buffer that was outgrown.
fn append(buffer: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    let needed = buffer.len() + chunk.len();
    if needed > buffer.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(2 * buffer.capacity())));
        larger.extend_from_slice(buffer);
        *buffer = larger;
    }
    buffer.extend_from_slice(chunk);
}

/// How long the server asks to wait.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let header = headers.get(http::header::RETRY_AFTER)?;
    seconds::wait(header.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appending_keeps_every_byte() {
        let mut buffer = Zeroizing::new(Vec::with_capacity(2));
        for chunk in [&b"ab"[..], b"c", b"", b"defghij"] {
            append(&mut buffer, chunk);
        }
        assert_eq!(buffer.as_slice(), b"abcdefghij");
    }
}

//! One exchange with one node.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Instrument as _;
use zeroize::Zeroizing;

use super::fault::fault;
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
        timeout: Duration,
    ) -> Result<Reply, VaultError> {
        let asked = self.counters.ask(call.operation);
        let span = spans::request(call.operation, &call.method, &call.path, node);
        let asking = self.ask(node, call, token, timeout);
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
        timeout: Duration,
    ) -> Result<Reply, VaultError> {
        let operation = call.operation;
        let protocol = |fault| VaultError::Protocol { operation, fault };
        let mut url = format!("{}{}", node.base, call.path);
        if let Some(query) = &call.query {
            url.push('?');
            url.push_str(query);
        }
        let mut request = self
            .http
            .request(call.method.clone(), url)
            .headers(self.headers.clone())
            .timeout(timeout);
        if let Some(token) = token {
            let mut value = HeaderValue::from_bytes(token.expose())
                .map_err(|_| protocol("a token with control characters"))?;
            value.set_sensitive(true);
            request = request.header(TOKEN.clone(), value);
        }
        if let Some(run) = &call.run {
            request = request.header(RUN.clone(), run.value());
        }
        if let Some(body) = &call.body {
            request = request
                .header(
                    http::header::CONTENT_TYPE,
                    HeaderValue::from_static("application/json"),
                )
                .body(body.to_vec());
        }
        let response = request.send().await.map_err(|error| fault(node, &error))?;
        let (operation, path) = (call.operation, call.path.clone());
        receive(node, operation, path, response).await
    }
}

/// Reads an answer, up to [`MAX_ANSWER`].
pub(super) async fn receive(
    node: &Node,
    operation: Operation,
    path: String,
    mut response: reqwest::Response,
) -> Result<Reply, VaultError> {
    let mut reply = Reply {
        operation,
        address: node.address.clone(),
        path,
        status: response.status().as_u16(),
        retry_after: retry_after(response.headers()),
        body: Zeroizing::new(Vec::with_capacity(
            response
                .content_length()
                .and_then(|length| usize::try_from(length).ok())
                .unwrap_or(FIRST_READ)
                .min(MAX_ANSWER),
        )),
    };
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| fault(node, &error))?
    {
        if reply.body.len() + chunk.len() > MAX_ANSWER {
            return Err(VaultError::TooLarge {
                operation,
                limit: MAX_ANSWER,
            });
        }
        append(&mut reply.body, &chunk);
    }
    Ok(reply)
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

//! Requests in the host's log and in traces.
//!
//! A path names a secret and tells nothing of it: tokens, accessors and lease ids
//! travel in headers and bodies, and queries are left out.

use http::Method;
use tracing::Span;
use tracing::field::Empty;

use super::Reply;
use super::nodes::Node;
use crate::telemetry::shown;
use crate::vault::error::Operation;
use crate::vault::stats::RequestOutcome;

/// One request to one node.
pub(super) fn request(operation: Operation, method: &Method, path: &str, node: &Node) -> Span {
    tracing::debug_span!(
        "vault",
        operation = operation.word(),
        method = method.as_str(),
        path = %shown(path),
        address = node.address,
        outcome = Empty,
        status = Empty,
        request_id = Empty,
    )
}

/// How it ended. Costs nothing when nobody looks.
pub(super) fn answered(span: &Span, answer: Option<&Reply>, outcome: RequestOutcome) {
    if span.is_disabled() {
        return;
    }
    span.record("outcome", <&str>::from(outcome));
    if let Some(reply) = answer {
        span.record("status", reply.status);
        if let Some(id) = reply.request_id() {
            span.record("request_id", id);
        }
    }
    span.in_scope(|| tracing::debug!("asked vault"));
}

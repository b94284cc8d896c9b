//! Requests in the host's log and in traces.
//!
//! A path names a secret and tells nothing of it: tokens, accessors and lease ids
//! travel in headers and bodies, and queries are left out.

use std::borrow::Cow;

use http::Method;
use tracing::Span;
use tracing::field::Empty;
use uuid::Uuid;

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
        path = %shown(&named(operation, path)),
        address = node.address,
        outcome = Empty,
        status = Empty,
        request_id = Empty,
    )
}

/// A path without the ids that a reviewer follows from one answer to the next,
/// which name people and machines.
fn named(operation: Operation, path: &str) -> Cow<'_, str> {
    if operation != Operation::Review {
        return path.into();
    }
    let segments = path
        .split('/')
        .map(|segment| match Uuid::try_parse(segment) {
            Ok(_) => "{id}",
            Err(_) => segment,
        });
    segments.collect::<Vec<_>>().join("/").into()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_a_review_follows_are_left_out() {
        let id = "ac15fd83-5d86-9d6e-f321-1ad9cbbb94cc";
        let path = format!("identity/entity/id/{id}");
        let shown = named(Operation::Review, &path);
        assert_eq!(shown, "identity/entity/id/{id}");
        // A secret may be called so; its name stands in the grants.
        assert_eq!(named(Operation::Read, &path), path);
    }
}

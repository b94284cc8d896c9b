//! One call: from the task's request to an answer that it may see.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION,
    TRANSFER_ENCODING,
};
use http::{Method, StatusCode};
use tokio::time::timeout_at;
use url::Url;
use zeroize::Zeroizing;

use super::apply::{Applied, apply};
use super::body::Body;
use super::client::Destination;
use super::decode::Decoder;
use super::grant::{HttpGrant, Injection};
use super::headers;
use super::host::{ClientHandle, ResponseHandle};
use super::inject::Rendered;
use super::path::{BadPath, RequestPath};
use super::rule::{is_method, is_refused_method};
use super::transport;
use crate::capability::Attempt;
use crate::capability::bindings::cofferdam::capabilities::http::{Error, Request, TransportError};
use crate::capability::call::{Call, DenialKind, Refusal};
use crate::capability::network::Blocked;

/// The operation's name in audit and report.
const SEND: &str = "send";

/// What the host can decode, and so scan.
const CODINGS: HeaderValue = HeaderValue::from_static("gzip, br");

/// A request that was parsed; nothing of it is the task's text any more.
struct Outgoing {
    method: Method,
    path: RequestPath,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    deadline: Instant,
}

/// Sends a request under a grant.
pub(super) async fn send(
    attempt: &Arc<Attempt>,
    client: &ClientHandle,
    request: Request,
) -> Result<ResponseHandle, Error> {
    let grant = client.grant();
    let target = target(grant, &request);
    let refuse = |refusal| Error::Denied(attempt.refuse(client.label(), SEND, &target, refusal));

    if request.body.as_ref().map_or(0, Vec::len) > grant.max_request {
        refuse(Refusal::LimitReached("max_request"));
        return Err(Error::TooLarge(grant.max_request as u64));
    }
    let outgoing = Outgoing::parse(grant, request, attempt.parts().deadline).map_err(refuse)?;
    if !grant.covers(outgoing.method.as_str(), &outgoing.path) {
        return Err(refuse(Refusal::OutOfScope("no_allow_rule")));
    }
    let reached = reach(attempt, client, outgoing.deadline).await;
    match reached {
        Err(Unreached::Blocked(Blocked::Network)) => {
            return Err(refuse(Refusal::OutOfScope("destination_network")));
        }
        Err(Unreached::Blocked(Blocked::Forbidden)) => {
            return Err(refuse(Refusal::OutOfScope("destination_is_vault")));
        }
        _ => {}
    }

    let mut call = attempt
        .begin(client.label(), SEND, &target)
        .map_err(Error::Denied)?;
    let destination = match reached {
        Ok(destination) => destination,
        Err(Unreached::NoClient) => {
            return Err(Error::Denied(
                call.deny(DenialKind::Internal, "no_http_client"),
            ));
        }
        Err(Unreached::Timeout) => return Err(fail(call, TransportError::Timeout)),
        Err(Unreached::Blocked(_)) => return Err(fail(call, TransportError::Dns)),
    };
    let applied = match &grant.credential {
        None => None,
        Some(credential) => {
            let (applied, resumed) =
                apply(attempt, client, credential, call, outgoing.deadline).await?;
            call = resumed;
            Some(applied)
        }
    };
    transmit(attempt, grant, destination, outgoing, applied, call).await
}

/// The request in words: never its query, which may hold anything.
fn target(grant: &HttpGrant, request: &Request) -> String {
    let path = request.path.split('?').next().unwrap_or_default();
    let path = match RequestPath::parse_path(path) {
        Ok(()) => path,
        Err(_) => "?",
    };
    let method = if is_method(&request.method) {
        request.method.as_str()
    } else {
        "?"
    };
    format!("{method} {}{path}", grant.base)
}

impl Outgoing {
    fn parse(grant: &HttpGrant, request: Request, until: Instant) -> Result<Self, Refusal> {
        if !is_method(&request.method) {
            return Err(Refusal::Invalid("method"));
        }
        if is_refused_method(&request.method) {
            return Err(Refusal::OutOfScope("method_never_allowed"));
        }
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| Refusal::Invalid("method"))?;
        let path =
            RequestPath::parse(&request.path).map_err(|BadPath(word)| Refusal::Invalid(word))?;
        let injection = grant.credential.as_ref().map(|it| &it.inject);
        if let Some(Injection::Query { name, .. }) = injection
            && path.has_parameter(name)
        {
            return Err(Refusal::OutOfScope("query_parameter_is_injected"));
        }
        let mut headers = headers::request(request.headers, injection)?;
        headers.insert(ACCEPT_ENCODING, CODINGS);
        if request.body.as_ref().is_some_and(Vec::is_empty) {
            // The client sends a length for its own accord only when there is a body.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let asked = request
            .timeout_ms
            .map_or(Duration::MAX, |ms| Duration::from_millis(u64::from(ms)));
        let deadline = Instant::now() + grant.timeout.min(asked);
        Ok(Self {
            method,
            path,
            headers,
            body: request.body,
            deadline: deadline.min(until),
        })
    }
}

enum Unreached {
    NoClient,
    Timeout,
    Blocked(Blocked),
}

/// The client for the destination, with its addresses checked.
async fn reach<'a>(
    attempt: &Attempt,
    client: &'a ClientHandle,
    deadline: Instant,
) -> Result<&'a Destination, Unreached> {
    let ready = async {
        let destination = client
            .destination(&attempt.parts().http)
            .await
            .map_err(|_| Unreached::NoClient)?;
        let checked = destination.origin.addresses().await;
        checked.map_err(Unreached::Blocked)?;
        Ok(destination)
    };
    match timeout_at(deadline.into(), ready).await {
        Ok(reached) => reached,
        Err(_) => Err(Unreached::Timeout),
    }
}

async fn transmit(
    attempt: &Attempt,
    grant: &HttpGrant,
    destination: &Destination,
    outgoing: Outgoing,
    applied: Option<Applied<'_>>,
    mut call: Call,
) -> Result<ResponseHandle, Error> {
    let rendered = applied.as_ref().map(|applied| &applied.rendered);
    let Some(url) = url(grant, &outgoing.path, rendered.map(Arc::as_ref)) else {
        // The parser would send other bytes than those that were matched.
        let denied = call.deny(DenialKind::InvalidArgument, "path_rewritten");
        return Err(Error::Denied(denied));
    };
    let mut headers = outgoing.headers;
    if let Some(rendered) = rendered {
        rendered.put_header(&mut headers);
    }
    let bodiless = outgoing.method == Method::HEAD;
    let mut request = destination
        .client
        .request(outgoing.method, url)
        .headers(headers);
    call.detail(
        "bytes_sent",
        outgoing.body.as_ref().map_or(0, |it| it.len() as u64),
    );
    if let Some(body) = outgoing.body {
        request = request.body(body);
    }
    let secrets = &attempt.parts().secrets;
    // The answer's scrubber is made while the server works on it.
    let exchange = async {
        let (response, ()) = tokio::join!(biased; request.send(), async { secrets.prepare() });
        response
    };
    let response = match timeout_at(outgoing.deadline.into(), exchange).await {
        Err(_) => return Err(fail(call, TransportError::Timeout)),
        Ok(Err(error)) => return Err(fail(call, transport::classify(&error))),
        Ok(Ok(response)) => response,
    };
    call.detail("status", u64::from(response.status().as_u16()));
    if let Some(applied) = &applied {
        applied.judged(attempt, response.status());
    }
    let decoder = match judge(&response, grant.max_response, bodiless) {
        Ok(decoder) => decoder,
        Err(Judged::Transport(error)) => return Err(fail(call, error)),
        Err(Judged::TooLarge) => {
            call.limit("max_response");
            call.failed("response_too_large");
            return Err(Error::TooLarge(grant.max_response as u64));
        }
    };
    let (passed, redactions) = headers::response(response.headers(), grant, secrets);
    let status = response.status();
    let empty = bodiless || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = if empty || response.content_length() == Some(0) {
        Body::none(call, redactions)
    } else {
        let (limit, deadline) = (grant.max_response, outgoing.deadline);
        Body::new(
            response, decoder, limit, deadline, secrets, redactions, call,
        )
    };
    Ok(ResponseHandle::new(status.as_u16(), passed, body))
}

/// The address with path, query and credential; `None` when its spelling would
/// differ from what was matched.
fn url(grant: &HttpGrant, path: &RequestPath, rendered: Option<&Rendered>) -> Option<Url> {
    let mut text = Zeroizing::new(String::with_capacity(1_024));
    text.push_str(grant.base.as_str());
    text.push_str(path.path());
    let mut separator = '?';
    for part in [path.query(), rendered.and_then(Rendered::query)]
        .into_iter()
        .flatten()
    {
        text.push(separator);
        text.push_str(part);
        separator = '&';
    }
    let url = Url::parse(&text).ok()?;
    (url.as_str() == text.as_str()).then_some(url)
}

enum Judged {
    Transport(TransportError),
    TooLarge,
}

/// Refuses an answer that leads elsewhere or cannot be scanned; the decoder of
/// its body otherwise.
fn judge(response: &reqwest::Response, limit: usize, bodiless: bool) -> Result<Decoder, Judged> {
    let (status, headers) = (response.status(), response.headers());
    let redirects = status.is_redirection() && status != StatusCode::NOT_MODIFIED;
    if redirects && headers.contains_key(LOCATION) {
        return Err(Judged::Transport(TransportError::RedirectRefused));
    }
    // Ranges would let a server hand out a secret in halves.
    let partial = status == StatusCode::PARTIAL_CONTENT || status.is_informational();
    if partial || !is_scannable(headers) {
        return Err(Judged::Transport(TransportError::Protocol));
    }
    if !bodiless && declared_length(headers) > limit as u64 {
        return Err(Judged::TooLarge);
    }
    Decoder::of(headers, limit).ok_or(Judged::Transport(TransportError::Protocol))
}

fn declared_length(headers: &HeaderMap) -> u64 {
    let value = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok());
    value.and_then(|it| it.parse().ok()).unwrap_or(0)
}

/// Whether the scrubber can look into a body of this kind: not ranges, not a
/// transfer coding besides `chunked`, not a character set in which ASCII text
/// looks otherwise.
fn is_scannable(headers: &HeaderMap) -> bool {
    let chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !headers.get_all(TRANSFER_ENCODING).iter().all(chunked) {
        return false;
    }
    headers.get_all(CONTENT_TYPE).iter().all(|value| {
        let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        let wide = [
            "utf-16", "utf16", "utf-32", "utf32", "utf-7", "utf7", "ucs-2", "ucs-4", "ebcdic",
            "ibm",
        ];
        let charset = text.split_once("charset").map_or("", |(_, rest)| rest);
        !text.trim_start().starts_with("multipart/byteranges")
            && !wide.iter().any(|name| charset.contains(name))
    })
}

pub(super) fn fail(call: Call, error: TransportError) -> Error {
    call.failed(transport::word(error));
    Error::Transport(error)
}

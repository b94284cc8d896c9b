//! From an error of the HTTP client to the closed words of the contract. The
//! error itself is never formatted: it carries the URL, and with it an
//! injected query.

use std::error::Error;
use std::io::{self, ErrorKind};

use crate::capability::bindings::cofferdam::capabilities::http::TransportError;
use crate::capability::network::Blocked;

/// What went wrong on the way.
pub(super) fn classify(error: &reqwest::Error) -> TransportError {
    if error.is_timeout() {
        return TransportError::Timeout;
    }
    if let Some(cause) = causes(error).find_map(known_cause) {
        return cause;
    }
    if error.is_connect() {
        TransportError::Connect
    } else if error.is_request() || error.is_body() {
        TransportError::Reset
    } else {
        TransportError::Protocol
    }
}

/// A fixed word for the audit.
pub(super) fn word(error: TransportError) -> &'static str {
    match error {
        TransportError::Dns => "dns",
        TransportError::Connect => "connect",
        TransportError::Tls => "tls",
        TransportError::Timeout => "timeout",
        TransportError::Reset => "reset",
        TransportError::Protocol => "protocol",
        TransportError::RedirectRefused => "redirect_refused",
    }
}

fn known_cause(cause: &(dyn Error + 'static)) -> Option<TransportError> {
    if cause.is::<Blocked>() {
        return Some(TransportError::Dns);
    }
    if cause.is::<rustls::Error>() {
        return Some(TransportError::Tls);
    }
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        if error.is_parse() {
            return Some(TransportError::Protocol);
        }
        if error.is_incomplete_message() || error.is_closed() {
            return Some(TransportError::Reset);
        }
    }
    match cause.downcast_ref::<io::Error>()?.kind() {
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => Some(TransportError::Reset),
        ErrorKind::TimedOut => Some(TransportError::Timeout),
        _ => None,
    }
}

/// The chain of causes; an `io::Error` hides the error that it wraps from
/// `source`, so that one is looked at too.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause| {
        let cause: &'a (dyn Error + 'static) = *cause;
        let wrapped = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|inner| inner as &(dyn Error + 'static));
        wrapped.or_else(|| cause.source())
    })
}

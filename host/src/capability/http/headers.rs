//! Which headers pass, in both directions (THREATS 7).

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::grant::{HttpGrant, Injection};
use crate::capability::call::Refusal;
use crate::scrub::SecretSet;

/// Headers of one request that a task may set, and their bytes in all; servers
/// commonly refuse more than 100 and 16 KiB.
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 << 10;

/// Framing and connection: they belong to the two ends of one connection.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "proxy-connection",
    "keep-alive",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "http2-settings",
];

/// What a task may not say for itself: who it is, where it comes from, where
/// the request goes, and anything that makes the answer unscannable.
const NEVER_SENT: [&str; 24] = [
    "host",
    "authorization",
    "cookie",
    "cookie2",
    "expect",
    "range",
    "if-range",
    "accept-encoding",
    "content-encoding",
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-original-host",
    "x-rewrite-url",
    "x-host",
    "x-amz-security-token",
];

const NEVER_SENT_PREFIXES: [&str; 4] = ["proxy-", "x-vault-", "x-forwarded", "x-envoy-"];

/// Credentials that a server issues: held back unless the grant passes them.
const ISSUED: [&str; 12] = [
    "set-cookie",
    "set-cookie2",
    "authorization",
    "authentication-info",
    "www-authenticate",
    "x-amz-security-token",
    "x-auth-token",
    "x-subject-token",
    "x-access-token",
    "x-refresh-token",
    "x-api-key",
    "alt-svc",
];

/// The task's headers as they are sent, or why not. A header that is not
/// allowed is refused, never dropped in silence.
pub(super) fn request(
    given: Vec<(String, Vec<u8>)>,
    injection: Option<&Injection>,
) -> Result<HeaderMap, Refusal> {
    let size: usize = given
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if given.len() > MAX_HEADERS || size > MAX_HEADER_BYTES {
        return Err(Refusal::LimitReached("request_headers"));
    }
    let mut headers = HeaderMap::with_capacity(given.len() + 3);
    for (name, value) in given {
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| Refusal::Invalid("header_name"))?;
        // HeaderValue refuses CR, LF, NUL and the other control characters.
        let value =
            HeaderValue::from_bytes(&value).map_err(|_| Refusal::Invalid("header_value"))?;
        let plain = canonical(&name);
        let injected = match injection {
            Some(Injection::Header { name, .. }) => plain == canonical(name),
            _ => false,
        };
        if injected || is_never_sent(&plain) {
            return Err(Refusal::OutOfScope("header_not_allowed"));
        }
        if plain == "content-type" && headers.contains_key(header::CONTENT_TYPE) {
            return Err(Refusal::Invalid("header_twice"));
        }
        headers.append(name, value);
    }
    Ok(headers)
}

/// CGI-like servers read `X_Forwarded_For` as `X-Forwarded-For`.
fn canonical(name: &HeaderName) -> String {
    name.as_str().replace('_', "-")
}

fn is_never_sent(name: &str) -> bool {
    NEVER_SENT.contains(&name)
        || HOP_BY_HOP.contains(&name)
        || NEVER_SENT_PREFIXES.iter().any(|it| name.starts_with(it))
}

/// Whether a grant may put its credential into this header.
pub(super) fn may_be_injected(name: &HeaderName) -> bool {
    let plain = canonical(name);
    let credential = matches!(
        plain.as_str(),
        "authorization" | "cookie" | "x-amz-security-token" | "proxy-authorization"
    );
    !plain.contains("content-") && plain != "accept" && (credential || !is_never_sent(&plain))
}

/// Whether `pass_headers` may name this header: only what is held back as an
/// issued credential can be let through.
pub(super) fn may_be_passed(name: &HeaderName) -> bool {
    ISSUED.contains(&name.as_str())
}

/// The headers of a response that the task may see, scrubbed, and the number
/// of redactions.
pub(super) fn response(
    received: &HeaderMap,
    grant: &HttpGrant,
    secrets: &SecretSet,
) -> (Vec<(String, Vec<u8>)>, u64) {
    let mut redactions = 0;
    let mut passed = Vec::with_capacity(received.len());
    for (name, value) in received {
        if is_held_back(name, received, grant) {
            continue;
        }
        if secrets.is_empty() {
            passed.push((name.as_str().to_owned(), value.as_bytes().to_vec()));
            continue;
        }
        if secrets.contains_secret(name.as_str().as_bytes()) {
            redactions += 1;
            continue;
        }
        let mut clean = Vec::with_capacity(value.len());
        let mut scrubber = secrets.scrubber();
        scrubber.push(value.as_bytes(), &mut clean);
        redactions += scrubber.finish(&mut clean);
        passed.push((name.as_str().to_owned(), clean));
    }
    (passed, redactions)
}

fn is_held_back(name: &HeaderName, received: &HeaderMap, grant: &HttpGrant) -> bool {
    let text = name.as_str();
    // The length and the coding describe the bytes before decoding and scrubbing.
    if HOP_BY_HOP.contains(&text)
        || text == "content-encoding"
        || text.starts_with("proxy-")
        || text.starts_with("x-vault-")
        || is_named_by_connection(text, received)
    {
        return true;
    }
    let echoes = grant.credential.as_ref().is_some_and(|credential| {
        matches!(&credential.inject, Injection::Header { name: injected, .. } if injected == name)
    });
    (echoes || ISSUED.contains(&text)) && !grant.pass_headers.contains(name)
}

fn is_named_by_connection(name: &str, received: &HeaderMap) -> bool {
    received
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|listed| listed.trim().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::http::Template;

    fn check(name: &str, value: &[u8]) -> Result<HeaderMap, Refusal> {
        let injection = Injection::Header {
            name: HeaderName::from_static("x-api-key"),
            value: Template::parse("inject.value", "{token}").unwrap(),
        };
        request(vec![(name.to_owned(), value.to_vec())], Some(&injection))
    }

    #[test]
    fn ordinary_headers_are_sent() {
        for name in [
            "accept",
            "Content-Type",
            "if-none-match",
            "X-Request-Id",
            "user-agent",
            "prefer",
        ] {
            assert!(check(name, b"x").is_ok(), "{name}");
        }
    }

    #[test]
    fn headers_that_speak_for_others_are_refused() {
        for name in [
            "host",
            "Host",
            "authorization",
            "AUTHORIZATION",
            "proxy-authorization",
            "Cookie",
            "x-api-key",
            "X-Api-Key",
            "x_api_key",
            "x-vault-token",
            "X-Vault-Namespace",
            "x-forwarded-for",
            "X_Forwarded_For",
            "x-forwarded-host",
            "forwarded",
            "via",
            "connection",
            "keep-alive",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "content-length",
            "content_length",
            "expect",
            "range",
            "if-range",
            "accept-encoding",
            "x-real-ip",
            "x-http-method-override",
            "x-original-url",
            "content-encoding",
        ] {
            assert_eq!(
                check(name, b"x").unwrap_err(),
                Refusal::OutOfScope("header_not_allowed"),
                "{name}"
            );
        }
    }

    #[test]
    fn what_breaks_the_frame_is_malformed() {
        for name in ["", "a b", "a:b", "a\r\nb", "é", "a\0", "(x)"] {
            assert_eq!(
                check(name, b"x").unwrap_err(),
                Refusal::Invalid("header_name"),
                "{name:?}"
            );
        }
        for value in [&b"a\r\nx: y"[..], b"a\nb", b"a\rb", b"a\0b", b"\x7f"] {
            assert_eq!(
                check("x", value).unwrap_err(),
                Refusal::Invalid("header_value"),
                "{value:?}"
            );
        }
    }

    #[test]
    fn many_or_large_headers_reach_a_limit() {
        let many = vec![("x".to_owned(), Vec::new()); MAX_HEADERS + 1];
        assert!(matches!(request(many, None), Err(Refusal::LimitReached(_))));
        let large = vec![("x".to_owned(), vec![b'x'; MAX_HEADER_BYTES])];
        assert!(matches!(
            request(large, None),
            Err(Refusal::LimitReached(_))
        ));
    }

    #[test]
    fn a_credential_goes_into_no_header_of_the_connection() {
        for bad in [
            "host",
            "content-length",
            "transfer-encoding",
            "connection",
            "x-vault-token",
            "content-type",
        ] {
            assert!(!may_be_injected(&HeaderName::from_static(bad)), "{bad}");
        }
        for good in ["authorization", "x-api-key", "cookie", "x-auth-token"] {
            assert!(may_be_injected(&HeaderName::from_static(good)), "{good}");
        }
    }
}

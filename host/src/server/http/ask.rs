//! What a request must have, and how it is refused when it has not.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, RawQuery};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use url::form_urlencoded;
use uuid::Uuid;

use crate::api::{IDEMPOTENCY_KEY, MAX_KEY, MAX_WAIT, ProblemKind};
use crate::server::access::Peer;
use crate::server::refused::Refused;

/// How long a body may take to come in.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The caller who was admitted.
pub(super) struct Caller(pub(super) Arc<Peer>);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let peer = parts.extensions.get::<Arc<Peer>>().cloned();
        peer.map(Self)
            .ok_or_else(|| Refused::new(ProblemKind::Unauthenticated, "nobody knows who you are"))
    }
}

/// The id of a run, from the path. What is no id is no run.
pub(super) fn run(text: &str) -> Result<Uuid, Refused> {
    // Only the one spelling that we write.
    let id = Uuid::parse_str(text).ok();
    id.filter(|id| id.hyphenated().to_string() == text)
        .ok_or_else(|| Refused::new(ProblemKind::NotFound, "you have no such run"))
}

/// The key under which a run is submitted.
pub(super) fn key(headers: &HeaderMap) -> Result<&str, Refused> {
    let refuse = |detail: &str| {
        Refused::new(ProblemKind::BadRequest, detail).hint(
            "send `Idempotency-Key` with a text of your own that is new for every run, such as a \
             UUID, and the same again when you repeat the request",
        )
    };
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(refuse("one header `Idempotency-Key` is missing"));
    };
    let key = key.to_str().unwrap_or_default().trim();
    match key.len() {
        1..=MAX_KEY if key.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(key),
        _ => Err(refuse(
            "`Idempotency-Key` is not 1 to 255 visible characters",
        )),
    }
}

/// Parameters of the query: each at most once, and none that is unknown.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(RawQuery(query): RawQuery, known: &[&str]) -> Result<Self, Refused> {
        let query = query.unwrap_or_default();
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        for (at, (name, _)) in pairs.iter().enumerate() {
            let twice = pairs.iter().skip(at + 1).any(|(other, _)| other == name);
            if twice || !known.contains(&name.as_str()) {
                let detail = match known {
                    [] => "this path takes no parameters".to_owned(),
                    known => format!(
                        "the parameters of this path are `{}`, each once",
                        known.join("`, `")
                    ),
                };
                return Err(Refused::new(ProblemKind::BadRequest, detail));
            }
        }
        Ok(Self(pairs))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(one, _)| one == name);
        found.map(|(_, value)| value.as_str())
    }

    /// How long to wait for the end of a run; none when the answer is wanted at
    /// once.
    pub(super) fn wait(&self) -> Result<Option<Duration>, Refused> {
        let Some(text) = self.get("wait") else {
            return Ok(None);
        };
        match number(text) {
            Some(seconds) if seconds <= MAX_WAIT => Ok(Some(Duration::from_secs(seconds))),
            _ => Err(Refused::new(
                ProblemKind::BadRequest,
                format!("`wait` is a whole number of seconds from 0 to {MAX_WAIT}"),
            )),
        }
    }

    /// The line after which a log is wanted; none when the query does not say.
    pub(super) fn after(&self) -> Result<Option<u64>, Refused> {
        self.get("after").map(sequence).transpose()
    }
}

/// The number of a line.
pub(super) fn sequence(text: &str) -> Result<u64, Refused> {
    // As large as the document's `int64` can be.
    let number = number(text).filter(|number| i64::try_from(*number).is_ok());
    number.ok_or_else(|| {
        Refused::new(
            ProblemKind::BadRequest,
            "a log's cursor is the number of the last line that you have, 0 for none",
        )
    })
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

/// Reads a JSON body of at most so many bytes.
pub(super) async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<T, Refused> {
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        return Err(Refused::new(
            ProblemKind::UnsupportedMediaType,
            "the body's Content-Type is not application/json",
        ));
    }
    let bytes = bytes(headers, body, most).await?;
    let mut document = serde_json::Deserializer::from_slice(&bytes);
    let value = serde_path_to_error::deserialize(&mut document);
    let value = value.map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.inner());
        let kind = match inner.classify() {
            serde_json::error::Category::Data => ProblemKind::Invalid,
            _ => ProblemKind::BadRequest,
        };
        // serde_json names places and types, and quotes field names only.
        let detail = match path.as_str() {
            "." | "?" => format!("the body: {inner}"),
            path => format!("the body: `{path}`: {inner}"),
        };
        Refused::new(kind, crate::config::strict::one_line(detail))
    })?;
    document.end().map_err(|_| {
        Refused::new(
            ProblemKind::BadRequest,
            "the body goes on after its JSON document",
        )
    })?;
    Ok(value)
}

async fn bytes(headers: &HeaderMap, body: Body, most: usize) -> Result<Bytes, Refused> {
    let too_large = || {
        Refused::new(
            ProblemKind::BodyTooLarge,
            format!("the body is larger than {most} bytes"),
        )
        .hint(
            "pass a reference to the data instead of the data; the operator sets `body` under \
             [server.limits]",
        )
    };
    if announced(headers).is_some_and(|length| length > most) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIME, to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let mut cause = std::error::Error::source(&error);
            while let Some(inner) = cause {
                if inner.is::<http_body_util::LengthLimitError>() {
                    return Err(too_large());
                }
                cause = inner.source();
            }
            Err(Refused::new(ProblemKind::BadRequest, "the body broke off"))
        }
        Err(_) => Err(Refused::new(
            ProblemKind::RequestTimeout,
            format!("the body did not come in within {} s", BODY_TIME.as_secs()),
        )),
    }
}

/// The length of the body, if the request tells it.
pub(super) fn announced(headers: &HeaderMap) -> Option<usize> {
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// Refuses a body where none belongs.
pub(super) async fn no_body(headers: &HeaderMap, body: Body) -> Result<(), Refused> {
    let bytes = bytes(headers, body, 0).await;
    bytes
        .map(|_| ())
        .map_err(|_| Refused::new(ProblemKind::BadRequest, "this request takes no body"))
}

//! One request over a connection of its own.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ClientError;
use super::place::Place;
use crate::api::{IDEMPOTENCY_KEY, PROBLEM_JSON, Problem, REPLAYED};

/// The largest document that is read, in bytes: a report with the largest output
/// that a grants file can allow.
const MAX_ANSWER: usize = 80 << 20;

/// A request that is put together.
pub(super) struct Call {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// An answer whose body is still to be read.
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    pub(super) place: Place,
}

impl Call {
    pub(super) fn new(method: Method, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    pub(super) fn key(mut self, key: &str) -> Self {
        // The service says what is wrong with a key that is none.
        if let Ok(value) = key.parse() {
            self.headers.insert(IDEMPOTENCY_KEY, value);
        }
        self
    }

    pub(super) fn body(mut self, document: &impl Serialize) -> Result<Self, ClientError> {
        let text = serde_json::to_vec(document);
        self.body = text
            .map_err(|error| ClientError::Request(error.to_string()))?
            .into();
        let json = http::HeaderValue::from_static("application/json");
        self.headers.insert(CONTENT_TYPE, json);
        Ok(self)
    }

    /// Sends it; an answer that is no success is an error.
    pub(super) async fn send(self, place: &Place) -> Result<Answer, ClientError> {
        let answer = self.send_any(place).await?;
        match answer.response.status().is_success() {
            true => Ok(answer),
            false => Err(answer.problem().await),
        }
    }

    pub(super) async fn send_any(self, place: &Place) -> Result<Answer, ClientError> {
        let authorization = place.authorization()?;
        let stream = place.connect().await?;
        let broken = |error| ClientError::of_breaking(place, error);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // Ends with the answer, or when we give up.
        let connection = tokio::spawn(connection);
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = (self.path.parse())
            .map_err(|_| ClientError::Request("the path is malformed".to_owned()))?;
        *request.headers_mut() = self.headers;
        request.headers_mut().insert(HOST, place.host());
        request.headers_mut().extend(authorization);
        let answered = sender.send_request(request).await;
        drop(sender);
        match answered {
            Ok(response) => Ok(Answer {
                response,
                place: place.clone(),
            }),
            // The connection knows why; when it broke before it was asked for
            // anything, the request knows no more than that it was not sent.
            Err(unsent) => Err(broken(match connection.await {
                Ok(Err(why)) => why,
                _ => unsent,
            })),
        }
    }
}

impl Answer {
    pub(super) fn is_replayed(&self) -> bool {
        self.response.headers().contains_key(REPLAYED)
    }

    pub(super) fn is_problem(&self) -> bool {
        let kind = self.response.headers().get(CONTENT_TYPE);
        kind.is_some_and(|kind| kind == PROBLEM_JSON)
    }

    /// The body as a document.
    pub(super) async fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let Self { response, place } = self;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_ANSWER);
        let bytes = body.collect().await.map_err(ClientError::Broken)?;
        serde_json::from_slice(&bytes.to_bytes()).map_err(|_| ClientError::Answer {
            place: place.to_string(),
            status,
        })
    }

    /// The body as the reason of a refusal.
    pub(super) async fn problem(self) -> ClientError {
        match self.json::<Problem>().await {
            Ok(problem) => ClientError::Refused(Box::new(problem)),
            Err(error) => error,
        }
    }
}

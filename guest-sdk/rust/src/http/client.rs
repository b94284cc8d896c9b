//! One granted API and the requests to it.

use std::fmt;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::{Error, Response};
use crate::Refusal;
use crate::bindings::cofferdam::capabilities::http as host;

/// Everything but RFC 3986's unreserved characters, which need no escape in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The API of one `[http.NAME]` grant.
#[derive(Debug)]
pub struct Client {
    handle: host::Client,
    grant: String,
}

/// A request that is being put together.
#[derive(Debug)]
#[must_use = "a request does nothing until `send`"]
pub struct Request<'a> {
    client: &'a Client,
    method: String,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
    timeout: Option<Duration>,
    // Kept until `send`, so that the calls before it can be chained.
    problem: Option<serde_json::Error>,
}

impl Client {
    /// Opens the API of a grant.
    pub fn open(grant: &str) -> Result<Self, Refusal> {
        match host::open(grant) {
            Ok(handle) => Ok(Self {
                handle,
                grant: grant.to_owned(),
            }),
            Err(failure) => Err(Refusal::new(failure, format!("http `{grant}`"))),
        }
    }

    /// A `GET`. Every path is relative to the grant's base address and has no
    /// leading slash.
    pub fn get(&self, path: &str) -> Request<'_> {
        self.request("GET", path)
    }

    /// A `POST`.
    pub fn post(&self, path: &str) -> Request<'_> {
        self.request("POST", path)
    }

    /// A `PUT`.
    pub fn put(&self, path: &str) -> Request<'_> {
        self.request("PUT", path)
    }

    /// A `PATCH`.
    pub fn patch(&self, path: &str) -> Request<'_> {
        self.request("PATCH", path)
    }

    /// A `DELETE`.
    pub fn delete(&self, path: &str) -> Request<'_> {
        self.request("DELETE", path)
    }

    /// A request with any method, in upper case.
    pub fn request(&self, method: &str, path: &str) -> Request<'_> {
        Request {
            client: self,
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: None,
            timeout: None,
            problem: None,
        }
    }
}

impl Request<'_> {
    /// Adds a query parameter; both sides are percent-encoded.
    pub fn query(mut self, name: &str, value: impl fmt::Display) -> Self {
        append_query(&mut self.path, name, &value.to_string());
        self
    }

    /// Adds a header. Credentials, hop-by-hop headers, `host`, `range`,
    /// `accept-encoding` and forwarding headers are the host's own.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets a JSON body and its `content-type`.
    pub fn json(mut self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.body(body).header("content-type", "application/json"),
            Err(error) => {
                self.problem = Some(error);
                self
            }
        }
    }

    /// Bounds the whole exchange. The grant's and the attempt's own limits
    /// hold in any case.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends the request. Redirects are not followed, and a status such as 404
    /// is an answer, not an error: see [`Response::error_for_status`].
    pub fn send(self) -> Result<Response, Error> {
        if let Some(problem) = self.problem {
            return Err(Error::Encode(problem));
        }
        let subject = format!("{} {} on `{}`", self.method, self.path, self.client.grant);
        let request = host::Request {
            method: self.method,
            path: self.path,
            headers: self.headers,
            body: self.body,
            timeout_ms: self
                .timeout
                .map(|timeout| u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX)),
        };
        match self.client.handle.send(&request) {
            Ok(handle) => Ok(Response::new(handle, subject)),
            Err(error) => Err(Error::new(error, subject)),
        }
    }
}

fn append_query(path: &mut String, name: &str, value: &str) {
    path.push(if path.contains('?') { '&' } else { '?' });
    path.extend(utf8_percent_encode(name, QUERY));
    path.push('=');
    path.extend(utf8_percent_encode(value, QUERY));
}

#[cfg(test)]
mod tests {
    use super::append_query;

    #[test]
    fn query_parameters_are_escaped() {
        let mut path = "invoices".to_owned();
        append_query(&mut path, "page", "2");
        append_query(&mut path, "a b", "ü&=?/~");
        assert_eq!(path, "invoices?page=2&a%20b=%C3%BC%26%3D%3F%2F~");
    }
}

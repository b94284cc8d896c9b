//! Probes of the capability `http`.

use std::io::Read;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cofferdam_guest::http::{Client, Error, Response};
use cofferdam_guest::{Refusal, TaskError};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Base;

/// One thing to do, chosen by the field `do`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Http {
    /// Sends requests; returns a list with an object for each.
    Http {
        grant: String,
        #[serde(default = "get")]
        method: String,
        path: String,
        #[serde(default)]
        headers: Vec<(String, String)>,
        body: Option<String>,
        /// A body of this many bytes, in place of `body`.
        body_size: Option<usize>,
        timeout_ms: Option<u64>,
        /// Bytes for each read of the body.
        #[serde(default = "kib_64")]
        read_max: usize,
        /// How often; the client is opened once.
        #[serde(default = "once")]
        times: u32,
        /// What to do when the requests are over, in place of returning them.
        then: Option<Base>,
    },
    /// Sends GETs, reads each answer to its end, and returns the number of
    /// bytes: as little work of the guest's own as there can be.
    Fetch {
        grant: String,
        path: String,
        times: u32,
    },
    /// Opens a grant again and again, and drops nothing.
    Handles { grant: String, count: usize },
    /// Sends again and again, and keeps every response unread.
    Responses {
        grant: String,
        path: String,
        count: usize,
    },
}

fn get() -> String {
    "GET".to_owned()
}

fn kib_64() -> usize {
    65_536
}

fn once() -> u32 {
    1
}

impl Http {
    /// Does it. Returns what is to be done next, if anything.
    pub fn run(self) -> Result<(Value, Option<Base>), TaskError> {
        match self {
            Self::Http {
                grant,
                method,
                path,
                headers,
                body,
                body_size,
                timeout_ms,
                read_max,
                times,
                then,
            } => {
                let client = match Client::open(&grant) {
                    Ok(client) => client,
                    Err(refusal) => return Ok((json!([refused(&refusal)]), then)),
                };
                let mut answers = Vec::new();
                for _ in 0..times {
                    let mut request = client.request(&method, &path);
                    for (name, value) in &headers {
                        request = request.header(name, value);
                    }
                    if let Some(size) = body_size {
                        request = request.body(vec![b'x'; size]);
                    } else if let Some(body) = &body {
                        request = request.body(body.as_str());
                    }
                    if let Some(ms) = timeout_ms {
                        request = request.timeout(Duration::from_millis(ms));
                    }
                    answers.push(match request.send() {
                        Ok(response) => answer(response, read_max),
                        Err(error) => failed(&error),
                    });
                }
                Ok((json!(answers), then))
            }
            Self::Fetch { grant, path, times } => {
                let client = Client::open(&grant)?;
                let mut buffer = [0; 1_024];
                let mut bytes = 0;
                for _ in 0..times {
                    let mut response = client.get(&path).send()?;
                    loop {
                        match response.read(&mut buffer)? {
                            0 => break,
                            length => bytes += length,
                        }
                    }
                }
                Ok((json!(bytes), None))
            }
            Self::Handles { grant, count } => {
                let mut held = Vec::new();
                for _ in 0..count {
                    match Client::open(&grant) {
                        Ok(client) => held.push(client),
                        Err(refusal) => {
                            return Ok((
                                json!({"held": held.len(), "refusal": refused(&refusal)}),
                                None,
                            ));
                        }
                    }
                }
                Ok((json!({"held": held.len()}), None))
            }
            Self::Responses { grant, path, count } => {
                let client = Client::open(&grant)?;
                let mut held = Vec::new();
                for _ in 0..count {
                    match client.get(&path).send() {
                        Ok(response) => held.push(response),
                        Err(error) => {
                            return Ok((
                                json!({"held": held.len(), "refusal": failed(&error)}),
                                None,
                            ));
                        }
                    }
                }
                Ok((json!({"held": held.len()}), None))
            }
        }
    }
}

/// Status, headers and body; the body in base64 as well, since it may be any bytes.
fn answer(mut response: Response, read_max: usize) -> Value {
    let status = response.status();
    let headers: Vec<_> = response
        .headers()
        .into_iter()
        .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
        .collect();
    let mut body = Vec::new();
    let mut buffer = vec![0; read_max];
    let error = loop {
        match response.read(&mut buffer) {
            Ok(0) => break None,
            Ok(length) => body.extend(buffer.iter().take(length)),
            Err(error) => {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
                break Some(inner.map_or_else(|| json!(error.to_string()), failed));
            }
        }
    };
    json!({
        "status": status,
        "headers": headers,
        "body": STANDARD.encode(&body),
        "text": String::from_utf8_lossy(&body),
        "read_error": error,
    })
}

/// An error by its names in the WIT contract.
fn failed(error: &Error) -> Value {
    match error {
        Error::Refused(refusal) => refused(refusal),
        Error::Transport(transport) => json!({"error": "transport", "kind": transport.name()}),
        Error::TooLarge(limit) => json!({"error": "too-large", "limit": limit}),
        other => json!({"error": other.to_string()}),
    }
}

/// A refusal by its name in the WIT contract.
pub(crate) fn refused(refusal: &Refusal) -> Value {
    json!({
        "error": "denied",
        "kind": refusal.kind().name(),
        "retryable": refusal.is_retryable(),
        "audit_ref": refusal.audit_ref(),
    })
}

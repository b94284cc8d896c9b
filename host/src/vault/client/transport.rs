//! Sending and receiving.

use std::error::Error;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use rand::Rng;
use reqwest::redirect;
use zeroize::Zeroizing;

use super::{Call, Reply, tls};
use crate::secret::Secret;
use crate::vault::error::ConnectionFault;
use crate::vault::{VaultConfig, VaultError};

/// Largest answer that is read. KV secrets are at most 1 MiB by default
/// (`max_entry_size` of the integrated storage), transit doubles at most.
const MAX_ANSWER: usize = 4 << 20;

/// First allocation for an answer without a declared length.
const FIRST_READ: usize = 4 << 10;

/// Idle connections are closed before a server's or balancer's own limit, so
/// that a request does not meet a connection that just closes.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// Longest wait before the one retry; a `Retry-After` beyond it ends the call.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// Wait before the retry when Vault names none, before jitter.
const DEFAULT_WAIT: Duration = Duration::from_millis(100);

static TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
static NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Agents and proxies that guard against request forgery demand it.
static REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// A connection pool to one server. It holds no token.
pub(in crate::vault) struct Client {
    http: reqwest::Client,
    /// Ends in `/v1/`.
    base: String,
    address: String,
    headers: HeaderMap,
    timeout: Duration,
}

impl Client {
    /// Prepares a pool; connects to nothing.
    pub(in crate::vault) fn new(config: &VaultConfig) -> Result<Self, VaultError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::settings(config)?)
            .https_only(config.address.encrypted())
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(config.timeout)
            .pool_idle_timeout(POOL_IDLE)
            .build()
            .map_err(|_| VaultError::Settings {
                fault: "the HTTP client cannot be built".to_owned(),
            })?;
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST.clone(), HeaderValue::from_static("true"));
        if let Some(namespace) = &config.namespace {
            let value =
                HeaderValue::from_str(namespace.as_str()).map_err(|_| VaultError::Settings {
                    fault: "`namespace` cannot be sent".to_owned(),
                })?;
            headers.insert(NAMESPACE.clone(), value);
        }
        Ok(Self {
            http,
            base: format!("{}/v1/", config.address),
            address: config.address.to_string(),
            headers,
            timeout: config.timeout,
        })
    }

    /// One exchange, whatever its status. Never retried.
    pub(in crate::vault) async fn send(
        &self,
        call: &Call,
        token: Option<&Secret>,
    ) -> Result<Reply, VaultError> {
        self.exchange(call, token, self.timeout).await
    }

    /// One exchange within a time shorter than the configured one.
    pub(in crate::vault) async fn send_within(
        &self,
        call: &Call,
        token: &Secret,
        limit: Duration,
    ) -> Result<Reply, VaultError> {
        self.exchange(call, Some(token), self.timeout.min(limit))
            .await
    }

    /// One exchange of a request that changes nothing, repeated once when
    /// Vault could not serve it and the deadline allows.
    pub(in crate::vault) async fn send_idempotent(
        &self,
        call: &Call,
        token: &Secret,
        deadline: Instant,
    ) -> Result<Reply, VaultError> {
        let left = || deadline.saturating_duration_since(Instant::now());
        let first = self
            .exchange(call, Some(token), self.timeout.min(left()))
            .await;
        let asked = match &first {
            Ok(reply) => match reply.again() {
                Some(asked) => asked,
                None => return first,
            },
            Err(VaultError::Unreachable {
                fault: ConnectionFault::Broken | ConnectionFault::Refused,
                ..
            }) => None,
            Err(_) => return first,
        };
        let wait = asked.unwrap_or_else(|| jittered(DEFAULT_WAIT));
        if wait > MAX_WAIT || wait >= left() {
            return first;
        }
        tokio::time::sleep(wait).await;
        self.exchange(call, Some(token), self.timeout.min(left()))
            .await
    }

    async fn exchange(
        &self,
        call: &Call,
        token: Option<&Secret>,
        timeout: Duration,
    ) -> Result<Reply, VaultError> {
        let operation = call.operation;
        let protocol = |fault| VaultError::Protocol { operation, fault };
        let mut url = format!("{}{}", self.base, call.path);
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
        if let Some(body) = &call.body {
            request = request
                .header(
                    http::header::CONTENT_TYPE,
                    HeaderValue::from_static("application/json"),
                )
                .body(body.to_vec());
        }
        let mut response = request.send().await.map_err(|error| self.fault(&error))?;
        let mut reply = Reply {
            operation,
            address: self.address.clone(),
            path: call.path.to_string(),
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
        while let Some(chunk) = response.chunk().await.map_err(|error| self.fault(&error))? {
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

    /// A closed description: the client's own text holds the URL.
    fn fault(&self, error: &reqwest::Error) -> VaultError {
        let mut fault = if error.is_timeout() {
            ConnectionFault::TimedOut
        } else {
            ConnectionFault::Broken
        };
        let mut cause = error.source();
        while let Some(inner) = cause {
            if inner.is::<rustls::Error>() {
                fault = ConnectionFault::Tls;
            } else if let Some(io) = inner.downcast_ref::<std::io::Error>() {
                match io.kind() {
                    std::io::ErrorKind::ConnectionRefused => fault = ConnectionFault::Refused,
                    // rustls's errors arrive inside an io::Error, which
                    // `source` skips.
                    _ if io
                        .get_ref()
                        .is_some_and(|inner| inner.is::<rustls::Error>()) =>
                    {
                        fault = ConnectionFault::Tls;
                    }
                    _ => {}
                }
            } else if inner.to_string() == "dns error" {
                fault = ConnectionFault::Name;
            }
            cause = inner.source();
        }
        VaultError::Unreachable {
            address: self.address.clone(),
            fault,
            maybe_sent: !error.is_connect(),
        }
    }
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

/// `Retry-After` in its seconds form; Vault sends no dates.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?;
    seconds.parse().ok().map(Duration::from_secs)
}

/// Half to all of a wait, so that many hosts do not come back at once.
pub(in crate::vault) fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.5..=1.0))
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

    #[test]
    fn jitter_is_bounded() {
        for _ in 0..1000 {
            let wait = jittered(Duration::from_millis(100));
            assert!((50..=100).contains(&wait.as_millis()), "{wait:?}");
        }
    }
}

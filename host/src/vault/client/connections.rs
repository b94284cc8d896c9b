//! The connections to the nodes: HTTP/1.1, no redirects, no proxies, no cookies.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

use super::tls;
use crate::vault::{VaultConfig, VaultError};

/// Idle connections are closed before a server's or balancer's own limit, so
/// that a request does not meet a connection that just closes.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// The time in which one of several nodes must take a connection; a lost SYN is
/// sent again after a second.
const CONNECT_TO_ONE_OF_SEVERAL: Duration = Duration::from_secs(2);

/// After so long without a word the system asks whether the other end is still
/// there, so often and at such distances.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const KEEP_ALIVE_PROBES: u32 = 3;

/// How long the system waits for what it sent to arrive; while it does, it does not ask.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Kept open between requests, and shared by all attempts. They hold no token.
///
/// Hyper itself and not reqwest: that one parses and normalises each address anew, and
/// what was checked is what is to be sent.
pub(super) struct Connections(legacy::Client<Bounded<HttpsConnector<HttpConnector>>, Full<Bytes>>);

impl Connections {
    /// Connects to nothing yet.
    pub(super) fn new(config: &VaultConfig) -> Result<Self, VaultError> {
        // One of several that does not even take a connection was asked for
        // nothing: there has to be time for the others.
        let limit = match config.addresses.iter().count() {
            1 => config.timeout,
            _ => (config.timeout / 2).min(CONNECT_TO_ONE_OF_SEVERAL),
        };
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        // Shared by all the addresses that a name has.
        http.set_connect_timeout(Some(limit));
        http.set_nodelay(true);
        http.set_keepalive(Some(KEEP_ALIVE));
        http.set_keepalive_interval(Some(KEEP_ALIVE));
        http.set_keepalive_retries(Some(KEEP_ALIVE_PROBES));
        #[cfg(target_os = "linux")]
        http.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        // Over HTTP/2 more would have to be thought of: the settings must offer no protocol
        // themselves, and `benches/baseline` does as this client does.
        let https = HttpsConnectorBuilder::new().with_tls_config(tls::settings(config)?);
        let https = match config.addresses.iter().all(|address| address.encrypted()) {
            true => https.https_only(),
            false => https.https_or_http(),
        };
        let connector = Bounded {
            connector: https.enable_http1().wrap_connector(http),
            limit,
        };
        let client = legacy::Client::builder(TokioExecutor::new())
            // On a new connection, when a kept one closed before anything was sent.
            .retry_canceled_requests(true)
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .build(connector);
        Ok(Self(client))
    }

    /// One request, up to the head of its answer. There is no limit of time but the one of
    /// connecting.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, legacy::Error> {
        self.0.request(request).await
    }
}

/// Whatever it connects, TLS included, it has so much time for.
#[derive(Clone)]
struct Bounded<C> {
    connector: C,
    limit: Duration,
}

type Failure = Box<dyn Error + Send + Sync>;

impl<C> Service<Uri> for Bounded<C>
where
    C: Service<Uri, Error = Failure>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.limit, self.connector.call(to));
        Box::pin(async {
            let connected = connecting.await;
            connected.unwrap_or_else(|_| Err(io::Error::from(ErrorKind::TimedOut).into()))
        })
    }
}

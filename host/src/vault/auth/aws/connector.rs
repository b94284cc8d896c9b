//! HTTP for the chain of credentials, on the client and the TLS library that
//! the rest of the host uses: the SDK's own would bring a second one of each.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use reqwest::redirect;

use crate::vault::client::public_tls;

/// Largest answer that is read: credentials are a few kilobytes.
const MAX_ANSWER: usize = 256 << 10;

/// The time for one exchange when the SDK names none.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Made before it is known whether anything has to be asked, so it builds its
/// client when first used: reading the system's certificates takes a while.
#[derive(Debug, Clone, Default)]
pub(super) struct Connector {
    client: Arc<OnceLock<Option<reqwest::Client>>>,
    timeout: Option<Duration>,
}

/// Why an exchange failed. The client's own text holds the address.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("no HTTP client")]
    Client,
    #[error("the exchange failed")]
    Exchange,
    #[error("the answer is too large")]
    TooLarge,
    #[error("the request or the answer is malformed")]
    Malformed,
}

impl HttpClient for Connector {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let timeout = match (settings.connect_timeout(), settings.read_timeout()) {
            (None, None) => None,
            (connect, read) => Some(connect.unwrap_or_default() + read.unwrap_or_default()),
        };
        SharedHttpConnector::new(Self {
            client: Arc::clone(&self.client),
            timeout,
        })
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move {
            let client = connector.client.get_or_init(client).as_ref();
            let client = client.ok_or_else(|| ConnectorError::user(Fault::Client.into()))?;
            exchange(client, request, connector.timeout.unwrap_or(TIMEOUT)).await
        })
    }
}

fn client() -> Option<reqwest::Client> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(public_tls().ok()?)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .build()
        .ok()
}

async fn exchange(
    client: &reqwest::Client,
    request: HttpRequest,
    timeout: Duration,
) -> Result<HttpResponse, ConnectorError> {
    let malformed = || ConnectorError::user(Fault::Malformed.into());
    let method = request.method().parse().map_err(|_| malformed())?;
    let mut asked = client
        .request(method, request.uri())
        .timeout(timeout)
        // All requests of the chain have their body in memory.
        .body(request.body().bytes().ok_or_else(malformed)?.to_vec());
    for (name, value) in request.headers() {
        asked = asked.header(name, value);
    }
    let failed = |error: reqwest::Error| match error.is_timeout() {
        true => ConnectorError::timeout(Fault::Exchange.into()),
        false => ConnectorError::io(Fault::Exchange.into()),
    };
    let mut answer = asked.send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(ConnectorError::other(Fault::TooLarge.into(), None));
        }
        body.extend_from_slice(&chunk);
    }
    let status = answer.status().as_u16().try_into();
    let mut response = HttpResponse::new(status.map_err(|_| malformed())?, SdkBody::from(body));
    for (name, value) in answer.headers() {
        if let Ok(value) = value.to_str() {
            response
                .headers_mut()
                .append(name.as_str().to_owned(), value.to_owned());
        }
    }
    Ok(response)
}

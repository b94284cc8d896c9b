//! Sending a batch: OTLP over HTTP, as protobuf.
//!
//! `opentelemetry-otlp` would take headers and addresses from the environment and
//! try again on its own; one POST is all there is to it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::Value;
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message as _;
use reqwest::redirect;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Handle;

use crate::config::TelemetryConfig;

/// How long one batch may take. A collector that hangs must not keep the end of a
/// process waiting for more than the flush, and the log is told before that.
const LIMIT: Duration = Duration::from_millis(1_500);

/// Sends batches to one collector.
pub(super) struct Post {
    http: reqwest::Client,
    url: String,
    /// Batches are sent from a thread that is not the runtime's.
    runtime: Handle,
    resource: ResourceAttributesWithSchema,
    /// The log was told that nothing gets through.
    told: AtomicBool,
}

impl Post {
    /// Prepares; connects to nobody.
    ///
    /// # Errors
    /// A fixed text for what stands in the way.
    pub(super) fn new(config: &TelemetryConfig) -> Result<Self, &'static str> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(config)?)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .timeout(LIMIT)
            .build()
            .map_err(|_| "the HTTP client cannot be built")?;
        Ok(Self {
            http,
            url: format!("{}/v1/traces", config.otlp),
            runtime: Handle::try_current().map_err(|_| "there is no runtime")?,
            resource: ResourceAttributesWithSchema::default(),
            told: AtomicBool::new(false),
        })
    }

    async fn post(&self, body: Vec<u8>) -> Result<(), &'static str> {
        let request = self
            .http
            .post(&self.url)
            .header(http::header::CONTENT_TYPE, "application/x-protobuf")
            .body(body);
        // Its clock is the runtime's too, so even the beginning belongs there.
        let sent = self.runtime.spawn(async move { request.send().await });
        // The client's own text holds the address, and a collector's anything.
        match sent.await {
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(_)) => Err("the collector refuses them"),
            Ok(Err(error)) if error.is_timeout() => Err("the collector does not answer"),
            Ok(Err(_)) => Err("the collector cannot be reached"),
            Err(_) => Err("the process ends"),
        }
    }
}

impl SpanExporter for Post {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let batch = batch.into_iter().map(told_to_others).collect();
        let request = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(batch, &self.resource),
        };
        match self.post(request.encode_to_vec()).await {
            Ok(()) => {
                self.told.store(false, Ordering::Relaxed);
                Ok(())
            }
            Err(fault) => {
                if !self.told.swap(true, Ordering::Relaxed) {
                    tracing::warn!(fault, "traces do not leave and are dropped");
                }
                Err(OTelSdkError::InternalFailure(fault.to_owned()))
            }
        }
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").finish_non_exhaustive()
    }
}

/// What tracing has no words for: a request to Vault is a client's and has its
/// operation for a name, and what did not end well is an error.
fn told_to_others(mut span: SpanData) -> SpanData {
    let text = |name: &str| {
        let found = span.attributes.iter().find(|one| one.key.as_str() == name);
        match found.map(|one| &one.value) {
            Some(Value::String(text)) => Some(text.as_str().to_owned()),
            _ => None,
        }
    };
    let (outcome, operation) = (text("outcome"), text("operation"));
    if outcome.is_some_and(|outcome| !matches!(outcome.as_str(), "ok" | "done")) {
        span.status = Status::error("");
    }
    if span.name == "vault"
        && let Some(operation) = operation
    {
        span.name = format!("vault {operation}").into();
        span.span_kind = SpanKind::Client;
    }
    span
}

/// For plain http they trust nobody, and the system's roots are not read: that
/// takes longer than a whole run.
fn tls(config: &TelemetryConfig) -> Result<ClientConfig, &'static str> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|_| "no TLS version is available")?;
    if !config.otlp.is_encrypted() {
        return Ok(builder
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth());
    }
    let verifier = rustls_platform_verifier::Verifier::new(provider)
        .map_err(|_| "the system's trusted certificates cannot be read")?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

//! Gathering spans into batches, and what is said of the process.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider,
};
use uuid::Uuid;

use super::post::Post;
use crate::config::TelemetryConfig;

/// Spans that wait to be sent; what comes on top is dropped. A run has about ten.
const QUEUE: usize = 8_192;

/// Spans of one request.
const BATCH: usize = 512;

/// How long a span waits at most for a batch to fill.
const PAUSE: Duration = Duration::from_secs(2);

/// Everything is said here: the environment has no say.
pub(super) fn provider(config: &TelemetryConfig, post: Post) -> SdkTracerProvider {
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(PAUSE)
        .build();
    let processor = BatchSpanProcessor::builder(post)
        .with_batch_config(batches)
        .build();
    let sampler = Sampler::TraceIdRatioBased(config.sample);
    SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(Sampler::ParentBased(Box::new(sampler)))
        .with_resource(resource(config))
        .build()
}

fn resource(config: &TelemetryConfig) -> Resource {
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", config.service.clone()),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
        ])
        .build()
}

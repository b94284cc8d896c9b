//! The layer that hands spans over to be sent, once somebody wants them.
//!
//! The log begins before the configuration is read, and a process has one
//! subscriber: so the place for the exporter is there from the start, and empty.

use std::sync::OnceLock;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Level, Metadata};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::{Layer, Registry};

use super::FLUSH;

/// What begins so is ours.
const OURS: &str = "cofferdam";

/// The most detailed spans that leave.
const DETAIL: Level = Level::DEBUG;

/// The exporter of this process.
static EXPORTER: Exporter = Exporter(OnceLock::new());

struct Exporter(OnceLock<Running>);

struct Running {
    layer: OpenTelemetryLayer<Registry, SdkTracer>,
    provider: SdkTracerProvider,
}

/// The layer. It wants nothing until [`begin`].
pub(super) fn layer() -> impl Layer<Registry> {
    Handover(&EXPORTER).with_filter(Wanted(&EXPORTER))
}

/// From now on spans go to this provider.
pub(super) fn begin(provider: SdkTracerProvider) {
    EXPORTER.begin(provider);
}

/// Sends what is left, for [`FLUSH`] at most.
pub(super) async fn end() {
    let Some(running) = EXPORTER.0.get() else {
        return;
    };
    let provider = running.provider.clone();
    // It blocks: the spans are sent by a thread of its own.
    let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH));
    let _ = tokio::time::timeout(FLUSH, ended).await;
}

impl Exporter {
    fn begin(&self, provider: SdkTracerProvider) {
        // Where in the code a span begins, and on which thread, is nobody's matter.
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(OURS))
            .with_context_activation(false)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        if self.0.set(Running { layer, provider }).is_ok() {
            // Every place in the code asks again whether it is wanted.
            tracing::callsite::rebuild_interest_cache();
        }
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        self.0.get().is_some() && is_ours(metadata)
    }
}

/// Our own spans. Events stay here: the log has them.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let inner = target.strip_prefix(OURS);
    metadata.is_span()
        && *metadata.level() <= DETAIL
        && inner.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Which spans are wanted.
struct Wanted(&'static Exporter);

impl<S> Filter<S> for Wanted {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.0.wants(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.0.wants(metadata) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.0.0.get() {
            Some(_) => LevelFilter::from_level(DETAIL),
            None => LevelFilter::OFF,
        })
    }
}

/// Hands over what the filter let through.
struct Handover(&'static Exporter);

impl Handover {
    fn layer(&self) -> Option<&OpenTelemetryLayer<Registry, SdkTracer>> {
        self.0.0.get().map(|running| &running.layer)
    }
}

impl Layer<Registry> for Handover {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, Registry>) {
        if let Some(layer) = self.layer() {
            layer.on_new_span(attributes, id, context);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, Registry>) {
        if let Some(layer) = self.layer() {
            layer.on_record(id, values, context);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, Registry>) {
        if let Some(layer) = self.layer() {
            layer.on_enter(id, context);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, Registry>) {
        if let Some(layer) = self.layer() {
            layer.on_exit(id, context);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, Registry>) {
        if let Some(layer) = self.layer() {
            layer.on_close(id, context);
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::log;
    use super::*;

    fn leaked() -> &'static Exporter {
        Box::leak(Box::new(Exporter(OnceLock::new())))
    }

    fn subscriber(exporter: &'static Exporter, level: &str) -> impl tracing::Subscriber {
        tracing_subscriber::registry()
            .with(Handover(exporter).with_filter(Wanted(exporter)))
            .with(log::layer(level))
    }

    #[test]
    fn by_default_there_are_no_spans_at_all() {
        use tracing::Subscriber as _;
        let silent = leaked();
        for (level, hint) in [
            ("warn", LevelFilter::WARN),
            ("off", LevelFilter::OFF),
            ("info", LevelFilter::INFO),
        ] {
            assert_eq!(subscriber(silent, level).max_level_hint(), Some(hint));
        }
        tracing::subscriber::with_default(subscriber(silent, "warn"), || {
            assert!(tracing::info_span!("run").is_disabled());
            assert!(tracing::debug_span!("vault").is_disabled());
        });
        tracing::subscriber::with_default(subscriber(silent, "info"), || {
            assert!(!tracing::info_span!("run").is_disabled());
            assert!(tracing::debug_span!("vault").is_disabled());
        });
    }

    #[test]
    fn once_there_is_an_exporter_only_our_spans_are_made() {
        let exporter = leaked();
        tracing::subscriber::with_default(subscriber(exporter, "off"), || {
            let before = || tracing::debug_span!("vault");
            assert!(before().is_disabled());
            exporter.begin(SdkTracerProvider::builder().build());
            assert!(!before().is_disabled());
            assert!(!tracing::debug_span!(target: "cofferdam", "ours").is_disabled());
            assert!(tracing::trace_span!("detail").is_disabled());
            assert!(tracing::error_span!(target: "hyper", "theirs").is_disabled());
            assert!(tracing::error_span!(target: "cofferdams", "theirs").is_disabled());
            assert!(!tracing::event_enabled!(Level::DEBUG));
        });
    }
}

//! The log.

use std::io::IsTerminal as _;

use jiff::Timestamp;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{self, FmtContext, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

use crate::api::Record;
use crate::capability::LogLevel;

/// Writes our own events to stderr, with the spans around them.
pub(super) fn layer<S>(level: &str) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_filter(filter(level))
}

/// The same for machines: one [`Record`] a line, the fields in its text.
pub(super) fn records<S>(level: &str) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .event_format(Records)
        .with_filter(filter(level))
}

/// Writes an event as a [`Record`].
struct Records;

impl<S, N> FormatEvent<S, N> for Records
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut text = String::new();
        context.format_fields(Writer::new(&mut text), event)?;
        let level = match *event.metadata().level() {
            Level::TRACE => LogLevel::Trace,
            Level::DEBUG => LogLevel::Debug,
            Level::INFO => LogLevel::Info,
            Level::WARN => LogLevel::Warn,
            Level::ERROR => LogLevel::Error,
        };
        let spans = context.event_scope().into_iter().flat_map(Scope::from_root);
        let spans: Vec<String> = spans
            .map(|span| match span.extensions().get::<FormattedFields<N>>() {
                Some(fields) => format!("{}{{{fields}}}", span.name()),
                None => span.name().to_owned(),
            })
            .collect();
        let record = Record::Note {
            time: Timestamp::now(),
            level,
            target: event.metadata().target().to_owned(),
            context: (!spans.is_empty()).then(|| spans.join(":")),
            message: text,
        };
        let record = serde_json::to_string(&record).map_err(|_| std::fmt::Error)?;
        writeln!(line, "{record}")
    }
}

/// A level and nothing else: filters for libraries could hide in the text.
pub(super) fn filter(level: &str) -> EnvFilter {
    let level = level.parse().unwrap_or(LevelFilter::WARN);
    EnvFilter::new(format!("off,cofferdam={level}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_silent_whatever_is_asked_for() {
        for (level, shown) in [
            ("trace", "cofferdam=trace"),
            ("off", "cofferdam=off"),
            ("trace,aws_config=trace", "cofferdam=warn"),
            ("nonsense", "cofferdam=warn"),
        ] {
            let filter = filter(level).to_string();
            let mut parts: Vec<&str> = filter.split(',').collect();
            parts.sort_unstable();
            assert_eq!(parts, [shown, "off"]);
        }
    }
}

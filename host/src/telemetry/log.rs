//! The log.

use std::io::IsTerminal as _;

use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt};

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

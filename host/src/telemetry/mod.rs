//! The host's own log on stderr, and its traces over OTLP.
//!
//! Both show what this crate says and nothing else: libraries may log what they
//! send, so their events and spans are dropped at every level. Spans hold ids,
//! names and numbers; no secret, token, accessor or lease id is ever put into one.
//!
//! Until [`export`] is called, and below the level `info`, no span is made at
//! all: its place in the code costs one comparison.

mod batches;
mod exporting;
mod log;
mod post;

use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::TelemetryConfig;

/// How long the end of a process waits at most for its last spans to leave.
pub const FLUSH: Duration = Duration::from_secs(2);

/// The longest text of a caller or a task that a span shows, in characters.
const SHOWN: usize = 128;

/// The telemetry of this process. Hold it to the end, and then [`Guard::flush`].
#[must_use = "the last spans leave when it is flushed"]
#[derive(Debug)]
pub struct Guard(());

/// Starts the log. The first call of a process counts.
pub fn init(level: &str) -> Guard {
    let _ = tracing_subscriber::registry()
        .with(exporting::layer())
        .with(log::layer(level))
        .try_init();
    Guard(())
}

/// The same with a log for machines: every line an [`api::Record`](crate::api::Record).
pub fn init_records(level: &str) -> Guard {
    let _ = tracing_subscriber::registry()
        .with(exporting::layer())
        .with(log::records(level))
        .try_init();
    Guard(())
}

/// Sends spans from now on to the collector of `[telemetry]`. Connects to nobody
/// yet, and waits for nobody later: what cannot be sent is dropped, and the log
/// says so once. Must be called within tokio's runtime; the first call counts.
pub fn export(config: &TelemetryConfig) {
    match post::Post::new(config) {
        Ok(post) => exporting::begin(batches::provider(config, post)),
        Err(fault) => tracing::warn!(fault, "traces are not exported"),
    }
}

impl Guard {
    /// Sends what has not left yet, for [`FLUSH`] at most. Spans that end later
    /// are dropped.
    pub async fn flush(self) {
        exporting::end().await;
    }
}

/// A text that a caller or a task chose, fit for a line and not too long.
pub fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_texts_are_short_and_obey_nobody() {
        assert_eq!(shown("billing"), "billing");
        assert_eq!(shown("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
        let long = shown(&"x".repeat(1_000));
        assert_eq!(long.chars().count(), SHOWN + 1);
        assert!(long.ends_with('…'));
        assert_eq!(shown(&"x".repeat(SHOWN)), "x".repeat(SHOWN));
    }
}

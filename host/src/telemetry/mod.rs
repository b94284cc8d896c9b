//! The host's own log on stderr.
//!
//! It shows what this crate says and nothing else: libraries may log what they
//! send, so their events and spans are dropped at every level. Spans hold ids,
//! names and numbers; no secret, token, accessor or lease id is ever put into one.
//!
//! Below the level `info` no span is made at all: its place in the code costs one
//! comparison.

mod log;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The longest text of a caller or a task that a span shows, in characters.
const SHOWN: usize = 128;

/// Starts the log. The first call of a process counts.
pub fn init(level: &str) {
    let _ = tracing_subscriber::registry()
        .with(log::layer(level))
        .try_init();
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

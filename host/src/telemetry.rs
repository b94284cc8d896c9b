//! The host's own log, on stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Starts the log. Only our own events are shown: libraries may log what they
/// send, so their events are dropped at every level.
pub fn init(level: &str) {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter(level))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
}

/// A level and nothing else: filters for libraries could hide in the text.
fn filter(level: &str) -> EnvFilter {
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

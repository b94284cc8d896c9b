//! The host's own log, on stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Starts the log. Only our own events are shown: libraries may log what they
/// send, so their events are dropped at every level.
pub fn init(level: &str) {
    let filter = EnvFilter::try_new(format!("off,cofferdam={level}"))
        .unwrap_or_else(|_| EnvFilter::new("off,cofferdam=warn"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
}

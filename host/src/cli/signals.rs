//! Signals that ask a command to stop.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancelled by SIGINT, SIGTERM and SIGHUP, for commands that have credentials
/// to end before they go.
pub(super) fn cancelled() -> CancellationToken {
    let cancel = CancellationToken::new();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        // Without a handler the signal kills us and the next sweep revokes.
        let Ok(mut stream) = signal(kind) else {
            continue;
        };
        let cancel = cancel.clone();
        tokio::spawn(async move {
            stream.recv().await;
            cancel.cancel();
        });
    }
    cancel
}

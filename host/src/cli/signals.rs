//! Signals that ask a command to stop.

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancelled by SIGINT, SIGTERM and SIGHUP.
pub(super) fn cancelled() -> CancellationToken {
    let cancel = CancellationToken::new();
    let cancelled = cancel.clone();
    on_signal(move || cancelled.cancel());
    cancel
}

/// Does this at the first SIGINT, SIGTERM and SIGHUP, for commands that have credentials to
/// end before they go.
pub(super) fn on_signal(stop: impl Fn() + Clone + Send + 'static) {
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        // Without a handler the signal kills us and the next sweep revokes.
        let Ok(mut stream) = signal(kind) else {
            continue;
        };
        let stop = stop.clone();
        tokio::spawn(async move {
            stream.recv().await;
            stop();
        });
    }
}

/// Does this when nobody is left who could write to the pipe with this file
/// descriptor, which our parent handed over. What is written to it is ignored.
///
/// # Errors
/// When it is no pipe that can be read.
pub(super) fn on_close(fd: u32, stop: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    // A descriptor of our own for the same pipe.
    let mut pipe = pipe::OpenOptions::new().open_receiver(format!("/proc/self/fd/{fd}"))?;
    tokio::spawn(async move {
        let mut ignored = [0; 64];
        while pipe.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
        stop();
    });
    Ok(())
}

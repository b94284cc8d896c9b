//! `cofferdam serve`: the host as a service.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Globals;
use super::output::{Failure, Format, Output};
use crate::config::HostConfig;
use crate::diagnostic::Exit;
use crate::server::{Signals, serve};

/// Serve runs over a Unix socket and TLS, under this user's log-in to Vault.
///
/// `[server]` of cofferdam.toml says where, for whom and how much; see
/// docs/OPERATE.md. SIGHUP reads configuration and grants again. SIGTERM ends:
/// runs under way have `server.drain` to end by themselves; a second signal
/// cancels them at once.
///
/// Exit code 4: the issuer's keys for tokens (`[server.tcp.jwt]`) cannot be fetched.
#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {}

pub(super) async fn execute(
    _args: ServeArgs,
    globals: &Globals,
    output: &Output,
) -> Result<Exit, Failure> {
    let signals = signals();
    let config = HostConfig::load(&globals.config)?;
    if let Some(telemetry) = &config.telemetry {
        crate::telemetry::export(telemetry);
    }
    let file = std::path::absolute(&globals.config).unwrap_or_else(|_| globals.config.clone());
    // As many connections as the system lets us have.
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
    serve(config, file, signals, |listening| {
        if output.format() == Format::Text {
            output.note(format_args!("serving on {}", listening.socket.display()));
            if let Some(address) = listening.tcp {
                output.note(format_args!("serving on https://{address}"));
            }
        }
        // To systemd, if it waits for it.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    })
    .await?;
    Ok(Exit::Done)
}

/// SIGHUP reloads, SIGTERM and SIGINT end, and the second of them at once.
fn signals() -> Signals {
    let (reload_sender, reload) = mpsc::channel(1);
    let (end, now) = (CancellationToken::new(), CancellationToken::new());
    let ends = [SignalKind::terminate(), SignalKind::interrupt()];
    for mut stream in ends.into_iter().filter_map(|kind| signal(kind).ok()) {
        let (end, now) = (end.clone(), now.clone());
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if end.is_cancelled() {
                    now.cancel();
                } else {
                    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
                }
                end.cancel();
            }
        });
    }
    if let Ok(mut stream) = signal(SignalKind::hangup()) {
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                // One that waits already reads what is there then.
                let _ = reload_sender.try_send(());
            }
        });
    }
    Signals { reload, end, now }
}

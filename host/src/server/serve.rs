//! From the start of the service to its end.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::catalogue::told;
use super::error::ServeError;
use super::listen::Socket;
use super::service::Service;
use super::watch::VAULT_LIMIT;
use crate::config::HostConfig;

/// How often the service looks after itself.
const TICK: Duration = Duration::from_secs(1);

/// How often Vault is asked how it does.
const VAULT_TICK: Duration = Duration::from_secs(10);

/// What an operator may ask of a service.
pub struct Signals {
    /// Read configuration and grants again.
    pub reload: mpsc::Receiver<()>,
    /// End: take no more runs, and wait for those under way.
    pub end: CancellationToken,
    /// End at once: cancel what is under way.
    pub now: CancellationToken,
}

/// Serves until it is told to end. Returns when every run is over, its authority
/// is closed, and the log-in is revoked.
///
/// # Errors
/// Why the service could not start.
pub async fn serve(
    config: HostConfig,
    file: PathBuf,
    mut signals: Signals,
    started: impl FnOnce(&Service),
) -> Result<(), ServeError> {
    // The socket last: who can connect finds a service that is ready.
    let (path, drain) = (config.server.socket.clone(), config.server.drain);
    let service = Service::start(config, file).await?;
    service.look_at_vault(VAULT_LIMIT).await;
    let socket = match Socket::open(&path) {
        Ok(socket) => socket,
        Err(error) => {
            // The sweep may have logged in.
            service.close().await;
            return Err(error);
        }
    };
    let closing = CancellationToken::new();
    let listening = tokio::spawn(socket.serve(service.clone(), closing.clone()));
    let care = tokio::spawn(care(service.clone()));
    started(&service);
    loop {
        tokio::select! {
            () = signals.end.cancelled() => break,
            () = signals.now.cancelled() => break,
            Some(()) = signals.reload.recv() => reload(&service).await,
        }
    }
    tracing::info!("the service takes no more runs");
    let patience = async {
        tokio::select! {
            () = tokio::time::sleep(drain) => (),
            () = signals.now.cancelled() => (),
        }
    };
    service.drain(patience).await;
    closing.cancel();
    let _ = listening.await;
    care.abort();
    let _ = care.await;
    service.close().await;
    Ok(())
}

async fn reload(service: &Service) {
    match service.reload().await {
        Ok(()) => tracing::warn!("configuration and grants were read again and are in effect"),
        Err(error) => tracing::error!(
            problem = %told(&error),
            "configuration and grants stay as they were"
        ),
    }
}

async fn care(service: Service) {
    let watch_vault = async {
        loop {
            tokio::time::sleep(VAULT_TICK).await;
            service.look_at_vault(VAULT_LIMIT).await;
        }
    };
    let tick = async {
        loop {
            tokio::time::sleep(TICK).await;
            service.tick().await;
        }
    };
    tokio::join!(watch_vault, tick);
}

//! From the start of the service to its end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::catalogue::told;
use super::door::{self, Doors, Socket, TcpDoor};
use super::error::ServeError;
use super::service::Service;
use crate::config::{HostConfig, ServerConfig};

/// How often the service looks after itself.
const TICK: Duration = Duration::from_secs(1);

/// How often Vault is asked how it does.
const VAULT_TICK: Duration = Duration::from_secs(10);

/// How long a node has to say how it does.
const VAULT_LIMIT: Duration = Duration::from_secs(5);

/// How often the keys for tokens are fetched anew.
const KEYS_TICK: Duration = Duration::from_secs(5 * 60);

/// What an operator may ask of a service.
pub struct Signals {
    /// Read configuration and grants again.
    pub reload: mpsc::Receiver<()>,
    /// End: take no more runs, and wait for those under way.
    pub end: CancellationToken,
    /// End at once: cancel what is under way.
    pub now: CancellationToken,
}

/// Where a service listens, once it does.
#[derive(Debug, Clone)]
pub struct Listening {
    /// The socket.
    pub socket: PathBuf,
    /// The address beside it; none when nothing listens on TCP.
    pub tcp: Option<SocketAddr>,
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
    started: impl FnOnce(&Listening),
) -> Result<(), ServeError> {
    // The doors last: who can connect finds a service that is ready.
    let server = config.server.clone();
    let service = Service::start(config, file).await?;
    service.look_at_vault(VAULT_LIMIT).await;
    let (socket, tcp) = match open(&server).await {
        Ok(doors) => doors,
        Err(error) => {
            // The sweep may have logged in.
            service.close().await;
            return Err(error);
        }
    };
    let listening = Listening {
        socket: server.socket.clone(),
        tcp: tcp.as_ref().map(TcpDoor::address),
    };
    let (closing, doors) = (CancellationToken::new(), Doors::default());
    // At a socket of systemd's, callers wait for the next service as soon as this
    // one takes no more runs. Where nobody else would answer, we say that we end.
    let accepting = match socket.is_passed() {
        true => signals.end.clone(),
        false => closing.clone(),
    };
    let mut serving = JoinSet::new();
    serving.spawn(door::serve(
        socket,
        service.clone(),
        doors.clone(),
        (accepting, closing.clone()),
    ));
    if let Some(tcp) = tcp {
        tracing::info!(address = %tcp.address(), "listening for TLS");
        let ends = (closing.clone(), closing.clone());
        serving.spawn(door::serve(tcp, service.clone(), doors, ends));
    }
    let care = tokio::spawn(care(service.clone()));
    started(&listening);
    let ended = async {
        tokio::select! {
            () = signals.end.cancelled() => (),
            () = signals.now.cancelled() => (),
        }
    };
    let reloading = async {
        while let Some(()) = signals.reload.recv().await {
            reload(&service).await;
        }
        std::future::pending().await
    };
    // A reload asks others for keys and compiles: the end does not wait for it. Broken
    // off, it has changed nothing, for what it puts into effect it does at one stroke.
    tokio::select! {
        () = ended => (),
        () = reloading => (),
    }
    tracing::info!("the service takes no more runs");
    let patience = async {
        tokio::select! {
            () = tokio::time::sleep(service.drain_time()) => (),
            () = signals.now.cancelled() => (),
        }
    };
    service.drain(patience).await;
    closing.cancel();
    while serving.join_next().await.is_some() {}
    care.abort();
    let _ = care.await;
    service.close().await;
    Ok(())
}

/// Both doors, or none.
async fn open(server: &ServerConfig) -> Result<(Socket, Option<TcpDoor>), ServeError> {
    // First, since it leaves nothing behind that would have to be removed.
    let tcp = match &server.tcp {
        Some(tcp) => Some(TcpDoor::open(tcp.listen).await?),
        None => None,
    };
    Ok((Socket::open(&server.socket)?, tcp))
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
            service.settle().await;
        }
    };
    let renew_keys = async {
        loop {
            tokio::time::sleep(KEYS_TICK).await;
            if let Some(tokens) = service.tokens() {
                tokens.renew().await;
            }
        }
    };
    let tick = async {
        loop {
            tokio::time::sleep(TICK).await;
            service.tick().await;
        }
    };
    let forget = async {
        loop {
            tokio::time::sleep(TICK).await;
            service.forget_old().await;
        }
    };
    tokio::join!(watch_vault, renew_keys, tick, forget);
}

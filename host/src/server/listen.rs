//! The Unix socket: connections, and who is at their other end.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use parking_lot::Mutex;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

use super::access::Peer;
use super::error::ServeError;
use super::service::Service;
use crate::caller::Owner;

/// How long a connection may be silent before its first request, and between
/// two; and how long the head of a request may take.
const SILENCE: Duration = Duration::from_secs(30);

/// How long the listener rests when there are no file descriptors left.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// Connections of callers whom no rule names, all together: enough to be told.
const STRANGERS: u32 = 16;

/// How long connections have to say goodbye when the service ends.
const GOODBYE: Duration = Duration::from_secs(2);

/// Requests that one HTTP/2 connection has under way at most.
const STREAMS: u32 = 256;

/// The socket that the service listens on.
pub struct Socket {
    listener: UnixListener,
    /// What to remove at the end; none when systemd owns the socket.
    path: Option<PathBuf>,
}

impl Socket {
    /// Takes the socket that systemd opened for us, or opens it. What a service
    /// that was killed left there is removed; a living one is respected.
    ///
    /// Everybody may connect: who it is, the kernel tells, and the rules decide.
    /// The folder's mode narrows it further.
    ///
    /// # Errors
    /// When it cannot be opened, or another process listens there.
    pub fn open(path: &Path) -> Result<Self, ServeError> {
        let refuse = |source| ServeError::Listen {
            path: path.to_owned(),
            source,
        };
        if let Ok(Some(passed)) = listenfd::ListenFd::from_env().take_unix_listener(0) {
            passed.set_nonblocking(true).map_err(refuse)?;
            let listener = UnixListener::from_std(passed).map_err(refuse)?;
            return Ok(Self {
                listener,
                path: None,
            });
        }
        if let Ok(facts) = std::fs::symlink_metadata(path) {
            if !facts.file_type().is_socket() {
                return Err(refuse(io::Error::other("something else lies there")));
            }
            if StdStream::connect(path).is_ok() {
                return Err(ServeError::InUse {
                    path: path.to_owned(),
                });
            }
            std::fs::remove_file(path).map_err(refuse)?;
        }
        let listener = StdListener::bind(path).map_err(refuse)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).map_err(refuse)?;
        listener.set_nonblocking(true).map_err(refuse)?;
        Ok(Self {
            listener: UnixListener::from_std(listener).map_err(refuse)?,
            path: Some(path.to_owned()),
        })
    }

    /// Serves connections until `end`; then says goodbye to those that are open.
    pub(super) async fn serve(self, service: Service, end: CancellationToken) {
        let routes = super::http::routes(service.clone());
        let doors = Doors::default();
        let open = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = end.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (service, routes) = (service.clone(), routes.clone());
                    let (doors, end) = (doors.clone(), end.clone());
                    open.spawn(async move {
                        if let Some(guest) = doors.let_in(&service, &stream) {
                            connection(stream, guest, routes, end).await;
                        }
                    });
                }
                Err(error) => {
                    // Out of file descriptors: those who leave make room.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
        open.close();
        let _ = tokio::time::timeout(GOODBYE, open.wait()).await;
        if let Some(path) = self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Counts connections by owner.
#[derive(Clone, Default)]
struct Doors(Arc<Mutex<HashMap<Option<Owner>, u32>>>);

/// One connection that was let in.
struct Guest {
    peer: Arc<Peer>,
    /// The owner; none for all strangers together.
    counted: Option<Owner>,
    doors: Doors,
    service: Service,
}

impl Doors {
    /// Lets the connection in, unless there are too many; it is closed then.
    fn let_in(&self, service: &Service, stream: &UnixStream) -> Option<Guest> {
        let facts = stream.peer_cred().ok()?;
        // A directory service may be asked.
        let peer = crate::disk::wait(|| Peer::unix(facts.uid(), facts.gid(), facts.pid()));
        let limits = service.limits();
        let (counted, most) = match service.knows(&peer) {
            true => (Some(peer.owner.clone()), limits.connections_per_caller),
            false => (None, STRANGERS),
        };
        let mut doors = self.0.lock();
        let all: u32 = doors.values().sum();
        let own = doors.entry(counted.clone()).or_default();
        if *own >= most || all >= limits.connections.min(connections_for_files()) {
            if *own == 0 {
                doors.remove(&counted);
            }
            service.metrics().limited("connections");
            return None;
        }
        *own += 1;
        service.metrics().connections().inc();
        Some(Guest {
            peer: Arc::new(peer),
            counted,
            doors: self.clone(),
            service: service.clone(),
        })
    }
}

/// Connections for which there are file descriptors, when the service keeps a
/// quarter of them for itself: for Vault, for APIs, for files.
fn connections_for_files() -> u32 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = limit.current.unwrap_or(u64::MAX);
    u32::try_from(most / 4 * 3).unwrap_or(u32::MAX)
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut doors = self.doors.0.lock();
        if let Some(own) = doors.get_mut(&self.counted) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                doors.remove(&self.counted);
            }
        }
        self.service.metrics().connections().dec();
    }
}

async fn connection(stream: UnixStream, guest: Guest, routes: Router, end: CancellationToken) {
    let has_spoken = Arc::new(AtomicBool::new(false));
    let handler = {
        let (peer, has_spoken) = (Arc::clone(&guest.peer), Arc::clone(&has_spoken));
        service_fn(move |mut request: Request<Incoming>| {
            has_spoken.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(Arc::clone(&peer));
            // A router is always ready.
            routes.clone().call(request)
        })
    };
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENCE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(SILENCE);
    let served = builder.serve_connection(TokioIo::new(stream), handler);
    tokio::pin!(served);
    // hyper waits for ever for the bytes that tell HTTP/1 from HTTP/2.
    let first = tokio::time::sleep(SILENCE);
    tokio::pin!(first);
    let mut is_ending = false;
    loop {
        tokio::select! {
            // A connection that breaks is the caller's business.
            _ = &mut served => break,
            () = &mut first, if !first.is_elapsed() => {
                if !has_spoken.load(Ordering::Relaxed) {
                    break;
                }
            }
            () = end.cancelled(), if !is_ending => {
                is_ending = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
    drop(guest);
}

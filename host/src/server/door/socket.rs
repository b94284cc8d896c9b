//! The Unix socket: the kernel says who is at the other end.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::counts::Newcomer;
use super::{Door, Doors, Visit};
use crate::server::access::Peer;
use crate::server::error::ServeError;
use crate::server::service::Service;

/// The socket that the service listens on. Dropped, its file is removed, unless
/// it is systemd's.
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
}

impl Socket {
    /// Whether systemd opened it for us, and keeps it.
    pub(in crate::server) fn is_passed(&self) -> bool {
        self.path.is_none()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Door for Socket {
    type Raw = UnixStream;
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }

    async fn greet(
        stream: UnixStream,
        service: &Service,
        doors: &Doors,
    ) -> Option<(UnixStream, Visit)> {
        let facts = stream.peer_cred().ok()?;
        // Counted first: a look-up may take its time, and others must not wait for it.
        let place = doors.let_in(service, Newcomer::User(facts.uid()))?;
        let groups = service.groups_of(facts.uid()).await;
        let peer = Peer::unix((facts.uid(), facts.gid(), facts.pid()), &groups);
        match place.belongs_to(&peer) {
            true => Some((stream, Visit::of_process(peer, place))),
            false => None,
        }
    }
}

//! TCP, with TLS and nothing without.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::counts::Newcomer;
use super::{Door, Doors, Visit};
use crate::server::service::Service;
use crate::server::tcp::{Shown, TcpError};
use crate::tcp;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How long a caller whose handshake failed has to read why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// After so long a silence the other side is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Where the service listens beside its socket.
pub(in crate::server) struct TcpDoor {
    listener: TcpListener,
    address: SocketAddr,
}

impl TcpDoor {
    /// Listens.
    ///
    /// # Errors
    /// When the address is not this machine's, or taken.
    pub(in crate::server) async fn open(address: SocketAddr) -> Result<Self, TcpError> {
        let refuse = |source| TcpError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        Ok(Self { listener, address })
    }

    /// Where it really listens.
    pub(in crate::server) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Door for TcpDoor {
    type Raw = TcpStream;
    type Stream = TlsStream<TcpStream>;

    async fn accept(&self) -> io::Result<TcpStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }

    async fn greet(
        stream: TcpStream,
        service: &Service,
        doors: &Doors,
    ) -> Option<(Self::Stream, Visit)> {
        // A handshake takes room too.
        let address = stream.peer_addr().ok()?.ip();
        let place = doors.let_in(service, Newcomer::From(address))?;
        tcp::prepare(&stream, KEEPALIVE);
        let tls = service.tcp()?.tls.clone();
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.settings));
        let accepting = acceptor.accept(stream).into_fallible();
        let stream = match tokio::time::timeout(HANDSHAKE, accepting).await.ok()? {
            Ok(stream) => stream,
            Err((error, stream)) => {
                tracing::debug!(%error, "a handshake failed");
                part(stream).await;
                return None;
            }
        };
        let (_, session) = stream.get_ref();
        // Without a name by which a rule could tell it, a certificate says
        // nothing; a token still may.
        let shown =
            (session.peer_certificates()).and_then(|chain| Shown::new(Arc::clone(&tls), chain));
        let visit = Visit::of_remote(shown, place);
        match visit.is_welcome(&tls) {
            true => Some((stream, visit)),
            false => None,
        }
    }
}

/// Takes leave of a caller whose handshake failed. What it still sends is read:
/// otherwise the kernel resets the connection, and the alert that says why is
/// lost on the way.
async fn part(mut stream: TcpStream) {
    let parting = async {
        stream.shutdown().await?;
        let mut rest = [0; 4096];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(LAST_WORDS, parting).await;
}

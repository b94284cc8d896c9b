//! Ending a statement that runs on the server.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_postgres::CancelToken;
use tokio_postgres::tls::{ChannelBinding, TlsStream};

use super::connect::{AsItIs, reach};
use super::socket::{Place, Socket};
use super::tls::Tls;

/// Time to have a statement cancelled.
const CANCEL: Duration = Duration::from_secs(2);

/// What cancels a session's statement, over a connection of its own.
pub(super) struct Canceller {
    token: CancelToken,
    place: Place,
    tls: Option<Tls>,
}

impl Canceller {
    pub(super) fn new(token: CancelToken, place: Place, tls: Option<Tls>) -> Self {
        Self { token, place, tls }
    }

    /// Asks the server to end what runs, and waits until it has passed that on,
    /// so that it cannot hit a later statement. False when it was not reached.
    pub(super) async fn cancel(&self) -> bool {
        let whole = async {
            let (socket, _, _) = reach(&self.place, self.tls.as_ref()).await.ok()?;
            let farewell = Farewell {
                socket,
                said: false,
            };
            self.token.cancel_query_raw(farewell, AsItIs).await.ok()
        };
        timeout(CANCEL, whole).await.ok().flatten().is_some()
    }
}

/// A stream whose shutdown is over when the server has closed its side too.
struct Farewell {
    socket: Socket,
    said: bool,
}

impl AsyncRead for Farewell {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Farewell {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.said {
            ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
            self.said = true;
        }
        // A server has nothing to say here; what it sends is the end, or not its protocol.
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let _ = ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer));
        Poll::Ready(Ok(()))
    }
}

impl TlsStream for Farewell {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

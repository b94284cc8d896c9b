//! Ways in: the Unix socket, TCP, and what every connection has in common.
//!
//! [`serve`] is the one loop of both. A [`Door`] accepts connections and learns
//! what it can of who is at their other end; [`Doors`] counts them; a [`Visit`]
//! is one that was let in, and says for each request who makes it.

mod connection;
mod counts;
mod socket;
mod tcp;
mod visit;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::service::Service;

pub(super) use counts::Doors;
pub use socket::Socket;
pub(super) use tcp::TcpDoor;
pub(super) use visit::Visit;

/// How long the listener rests when there are no file descriptors left.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// How long connections have to say goodbye when the service ends.
const GOODBYE: Duration = Duration::from_secs(2);

/// A way in.
pub(super) trait Door: Send + Sync + 'static {
    /// What is accepted.
    type Raw: Send + 'static;
    /// What carries requests.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Raw>> + Send;

    /// Greets it. None when it is not let in; it is closed then.
    fn greet(
        raw: Self::Raw,
        service: &Service,
        doors: &Doors,
    ) -> impl Future<Output = Option<(Self::Stream, Visit)>> + Send;
}

/// Serves the connections of a door. Accepts more until the first of `ends`, and
/// says goodbye to those that are open at the second.
pub(super) async fn serve<D: Door>(
    door: D,
    service: Service,
    doors: Doors,
    ends: (CancellationToken, CancellationToken),
) {
    let (full, end) = ends;
    let routes = super::http::routes(service.clone());
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = door.accept() => accepted,
            () = full.cancelled() => break,
        };
        match accepted {
            Ok(raw) => {
                let (service, routes) = (service.clone(), routes.clone());
                let (doors, end) = (doors.clone(), end.clone());
                open.spawn(async move {
                    if let Some((stream, visit)) = D::greet(raw, &service, &doors).await {
                        connection::serve(stream, Arc::new(visit), routes, end).await;
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
    end.cancelled().await;
    open.close();
    let _ = tokio::time::timeout(GOODBYE, open.wait()).await;
}

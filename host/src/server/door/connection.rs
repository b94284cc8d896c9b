//! One connection, over whatever carries it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use super::Visit;

/// How long a connection may be silent before its first request, and between
/// two; and how long the head of a request may take, over HTTP/2 until a ping is sent. One
/// that is not known has as long to say who it is.
const SILENCE: Duration = Duration::from_secs(30);

/// How long the answer to a ping may take over HTTP/2. Also what bounds the head of a
/// request there, with the silence before the ping: nothing may come between the parts of a
/// head, so that no ping is answered meanwhile. Who answers pings may stay; how many such
/// connections there are is counted.
const PONG: Duration = Duration::from_secs(20);

/// How long a caller may take in nothing of an answer that is being sent.
const STANDSTILL: Duration = Duration::from_secs(30);

/// Requests that one HTTP/2 connection has under way at most: each can hold an answer that
/// is not read. Who wants more opens another connection, which is counted.
const STREAMS: u32 = 16;

/// The largest head of a request over HTTP/1, in bytes: what a connection takes of the memory
/// that no limit counts. Other headers than ours are few and short; a token is at most some
/// kilobytes long.
const HEAD: usize = 64 << 10;

/// Serves its requests until it ends or, after `end` and when it is hopeless, until
/// those under way are answered.
pub(super) async fn serve<S>(stream: S, visit: Arc<Visit>, routes: Router, end: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handler = {
        let visit = Arc::clone(&visit);
        service_fn(move |mut request: Request<Incoming>| {
            visit.spoke();
            request.extensions_mut().insert(Arc::clone(&visit));
            // A router is always ready.
            routes.clone().call(request)
        })
    };
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .max_buf_size(HEAD)
        .header_read_timeout(SILENCE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(SILENCE)
        .keep_alive_timeout(PONG);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STANDSTILL));
    let stream = Box::pin(stream);
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
                if !visit.is_settled() {
                    break;
                }
            }
            () = async {
                tokio::select! {
                    () = end.cancelled() => (),
                    () = visit.is_hopeless() => (),
                }
            }, if !is_ending => {
                is_ending = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

//! The port of this machine that the browser comes back to. It serves one
//! log-in: the first request with its state is taken, every other one is sent
//! away.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use url::form_urlencoded;

use super::error::LoginError;
use crate::lock::Mutex;
use crate::vault::browser::CALLBACK_PATH;
use crate::vault::config::CallbackPort;

/// Time for the head of one request; browsers also open connections that they
/// never use.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Room for the head of one request.
const MAX_HEAD: usize = 16 << 10;

/// Pause after a connection that could not be taken.
const PAUSE: Duration = Duration::from_millis(50);

/// Time for the last page to reach the browser.
const LAST_PAGE: Duration = Duration::from_secs(2);

/// A port that is listened on.
#[derive(Debug)]
pub(super) struct Callback {
    listener: TcpListener,
    port: u16,
}

/// The browser is back and waits for a page.
pub(super) struct Arrival {
    /// The code, or what the provider sent instead.
    pub(super) code: Result<String, LoginError>,
    /// The browser's end.
    pub(super) answer: Answer,
}

/// The page that the browser waits for.
pub(super) struct Answer {
    verdict: oneshot::Sender<Verdict>,
    connections: JoinSet<()>,
}

/// What the person is told in the browser.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verdict {
    LoggedIn,
    Refused,
}

/// What a request with our state brought, and where its page is wanted.
type Brought = (Result<String, LoginError>, oneshot::Sender<Verdict>);

/// The log-in that is waited for.
struct Awaited {
    state: String,
    /// As browsers name us.
    hosts: [String; 2],
    /// Gone once the browser is back.
    arrived: Mutex<Option<oneshot::Sender<Brought>>>,
}

impl Callback {
    /// Listens, on 127.0.0.1 alone.
    pub(super) async fn bind(port: CallbackPort) -> Result<Self, LoginError> {
        let port = port.get();
        let faulty = |source| LoginError::Port { port, source };
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        Ok(Self {
            listener: bound.map_err(faulty)?,
            port,
        })
    }

    /// Waits for the browser that shows this state. Then nobody else is
    /// listened to.
    pub(super) async fn wait(self, state: &str, limit: Duration) -> Result<Arrival, LoginError> {
        let (arrived, brought) = oneshot::channel();
        let awaited = Arc::new(Awaited {
            state: state.to_owned(),
            hosts: ["localhost", "127.0.0.1"].map(|name| format!("{name}:{}", self.port)),
            arrived: Mutex::new(Some(arrived)),
        });
        let mut connections = JoinSet::new();
        let listening = async {
            loop {
                match self.listener.accept().await {
                    Ok((stream, _)) => {
                        connections.spawn(serve(stream, Arc::clone(&awaited)));
                    }
                    // It broke before it was taken, or we have no descriptor left.
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        };
        let (code, verdict) = tokio::select! {
            Ok(brought) = brought => brought,
            () = tokio::time::sleep(limit) => return Err(LoginError::NobodyCame(limit)),
            () = listening => return Err(LoginError::NobodyCame(limit)),
        };
        Ok(Arrival {
            code,
            answer: Answer {
                verdict,
                connections,
            },
        })
    }
}

impl Answer {
    /// Shows the person how it ended, and hangs up.
    pub(super) async fn give(mut self, verdict: Verdict) {
        // It fails only when the browser has left.
        if self.verdict.send(verdict).is_ok() {
            let shown = async { while self.connections.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(LAST_PAGE, shown).await;
        }
    }
}

async fn serve(stream: TcpStream, awaited: Arc<Awaited>) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let awaited = Arc::clone(&awaited);
        async move { Ok::<_, Infallible>(awaited.answer(&request).await) }
    });
    // How a connection ends is the browser's affair.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

impl Awaited {
    async fn answer<B>(&self, request: &Request<B>) -> Response<Page> {
        if request.uri().path() != CALLBACK_PATH {
            return page(StatusCode::NOT_FOUND, "There is nothing here.");
        }
        // A site whose name was made to point here is not the provider.
        let host = request
            .headers()
            .get(header::HOST)
            .map(HeaderValue::as_bytes);
        let is_us = self.hosts.iter().any(|ours| Some(ours.as_bytes()) == host);
        if request.method() != Method::GET || !is_us {
            return page(StatusCode::BAD_REQUEST, "This is not how a log-in ends.");
        }
        let mut brought = Parameters::of(request.uri().query().unwrap_or_default());
        if brought.state.as_deref() != Some(self.state.as_str()) {
            return page(
                StatusCode::BAD_REQUEST,
                "This is not the log-in that was begun here.",
            );
        }
        let Some(arrived) = self.arrived.lock().take() else {
            return page(StatusCode::GONE, "This log-in is over.");
        };
        let code = match (brought.code.take(), brought.failed) {
            (Some(code), false) => Ok(code),
            _ => Err(LoginError::Denied),
        };
        let (verdict, given) = oneshot::channel();
        let _ = arrived.send((code, verdict));
        match given.await {
            Ok(Verdict::LoggedIn) => page(
                StatusCode::OK,
                "You are logged in. You can close this page.",
            ),
            Ok(Verdict::Refused) | Err(_) => page(
                StatusCode::FORBIDDEN,
                "The log-in was refused. The terminal says why.",
            ),
        }
    }
}

/// What the provider gave the browser to carry.
#[derive(Default)]
struct Parameters {
    state: Option<String>,
    code: Option<String>,
    failed: bool,
}

impl Parameters {
    fn of(query: &str) -> Self {
        let mut found = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "state" => found.state = Some(value.into_owned()),
                "code" if !value.is_empty() => found.code = Some(value.into_owned()),
                // Its text is the provider's own; it is not shown.
                "error" => found.failed = true,
                _ => {}
            }
        }
        found
    }
}

fn page(status: StatusCode, text: &'static str) -> Response<Page> {
    let mut response = Response::new(Page(Some(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A fixed text as a body.
struct Page(Option<&'static str>);

impl Body for Page {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let text = self.0.take();
        std::task::Poll::Ready(
            text.map(|text| Ok(Frame::data(Bytes::from_static(text.as_bytes())))),
        )
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.0.map_or(0, str::len);
        SizeHint::with_exact(u64::try_from(length).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn awaited() -> (Awaited, oneshot::Receiver<Brought>) {
        let (arrived, brought) = oneshot::channel();
        let awaited = Awaited {
            state: "st_1234".to_owned(),
            hosts: ["localhost:8250".to_owned(), "127.0.0.1:8250".to_owned()],
            arrived: Mutex::new(Some(arrived)),
        };
        (awaited, brought)
    }

    fn request(method: &str, host: &str, target: &str) -> Request<()> {
        Request::builder()
            .method(method)
            .uri(target)
            .header("host", host)
            .body(())
            .expect("fine")
    }

    #[tokio::test]
    async fn strangers_are_sent_away_and_do_not_end_the_wait() {
        let (awaited, mut brought) = awaited();
        for (method, host, target, status) in [
            ("GET", "localhost:8250", "/", 404),
            ("GET", "localhost:8250", "/favicon.ico", 404),
            (
                "GET",
                "evil.example:8250",
                "/oidc/callback?state=st_1234&code=c",
                400,
            ),
            (
                "POST",
                "localhost:8250",
                "/oidc/callback?state=st_1234&code=c",
                400,
            ),
            ("GET", "localhost:8250", "/oidc/callback", 400),
            ("GET", "localhost:8250", "/oidc/callback?code=c", 400),
            (
                "GET",
                "localhost:8250",
                "/oidc/callback?state=st_1235&code=c",
                400,
            ),
            (
                "GET",
                "localhost:8250",
                "/oidc/callback?state=st_1235&error=x",
                400,
            ),
        ] {
            let response = awaited.answer(&request(method, host, target)).await;
            assert_eq!(response.status().as_u16(), status, "{method} {target}");
            assert_eq!(response.headers()["cache-control"], "no-store");
        }
        assert!(brought.try_recv().is_err());
    }

    #[tokio::test]
    async fn the_first_with_the_state_is_taken_and_no_second() {
        let (awaited, brought) = awaited();
        let target = "/oidc/callback?code=c%2B1&state=st_1234";
        let request = request("GET", "127.0.0.1:8250", target);
        let told = async {
            let (code, verdict) = brought.await.expect("arrived");
            assert_eq!(code.expect("a code"), "c+1");
            let second = awaited.answer(&request).await;
            assert_eq!(second.status(), StatusCode::GONE);
            verdict.send(Verdict::LoggedIn).expect("waits");
        };
        let (first, ()) = tokio::join!(awaited.answer(&request), told);
        assert_eq!(first.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_refusal_of_the_provider_is_one() {
        for query in ["error=access_denied", "error=x&code=c", "code=", ""] {
            let (awaited, brought) = awaited();
            let target = format!("/oidc/callback?state=st_1234&{query}");
            let request = request("GET", "localhost:8250", &target);
            let told = async {
                let (code, verdict) = brought.await.expect("arrived");
                assert!(matches!(code, Err(LoginError::Denied)), "{query}");
                verdict.send(Verdict::Refused).expect("waits");
            };
            let (page, ()) = tokio::join!(awaited.answer(&request), told);
            assert_eq!(page.status(), StatusCode::FORBIDDEN);
        }
    }
}

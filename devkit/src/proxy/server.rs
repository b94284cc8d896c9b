//! The proxy's sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::rule::{Active, Fault, Injected, Rule};
use crate::process::Background;
use crate::wire::{Request, read_request};

/// Time to notice that a client has left.
const NOTICE: Duration = Duration::from_millis(20);

/// One request that came by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// The method.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Whether it says `X-Vault-Request: true`, as no browser can be made to.
    pub is_marked: bool,
}

/// When a request came and when its answer was sent, or the client was gone.
#[derive(Debug, Clone)]
pub struct Span {
    /// The method.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// When the request had come in.
    pub from: Instant,
    /// When it was over.
    pub to: Instant,
}

/// A running proxy; dropping it closes every connection.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _background: Background,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    /// Whether what passes is remembered.
    remembers: bool,
    rules: Mutex<Vec<Arc<Active>>>,
    passed: Mutex<Vec<Passed>>,
    spans: Mutex<Vec<Span>>,
    bodies: Mutex<Vec<Vec<u8>>>,
    answers: Mutex<Vec<Vec<u8>>>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 for the server at `server`.
    pub fn start(server: SocketAddr) -> Result<Self> {
        Self::with_memory(server, true)
    }

    /// The same, for more requests than can be kept: it remembers nothing of what passes.
    pub fn forgetful(server: SocketAddr) -> Result<Self> {
        Self::with_memory(server, false)
    }

    fn with_memory(server: SocketAddr, remembers: bool) -> Result<Self> {
        let shared = Arc::new(Shared {
            server,
            remembers,
            rules: Mutex::default(),
            passed: Mutex::default(),
            spans: Mutex::default(),
            bodies: Mutex::default(),
            answers: Mutex::default(),
        });
        let for_thread = Arc::clone(&shared);
        let (address, background) =
            Background::listen(move |listener| accept(listener, for_thread))?;
        Ok(Self {
            address,
            shared,
            _background: background,
        })
    }

    /// The address for clients, `http://127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address as a socket's.
    pub fn socket(&self) -> SocketAddr {
        self.address
    }

    /// Starts to break requests. Of several rules the oldest that wants a
    /// request gets it.
    pub fn inject(&self, rule: Rule) -> Injected {
        let active = Active::new(rule);
        lock(&self.shared.rules).push(Arc::clone(&active));
        Injected { active }
    }

    /// Every request so far, in the order of arrival.
    pub fn passed(&self) -> Vec<Passed> {
        lock(&self.shared.passed).clone()
    }

    /// Every request that is over, in the order of its end.
    pub fn spans(&self) -> Vec<Span> {
        lock(&self.shared.spans).clone()
    }

    /// The bodies of all requests so far, secrets and all, in the same order.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        lock(&self.shared.bodies).clone()
    }

    /// Every answer that the server gave so far, byte for byte, secrets and all.
    pub fn answers(&self) -> Vec<Vec<u8>> {
        lock(&self.shared.answers).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        // A broken connection is what the client sees; nobody to tell.
        tokio::spawn(async move { shared.serve(client).await });
    }
}

impl Shared {
    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let Some(request) = read_request(&mut client).await? else {
            return Ok(());
        };
        self.remember(&self.passed, || Passed {
            method: request.method.clone(),
            target: request.target.clone(),
            is_marked: request.header("x-vault-request") == Some(b"true"),
        });
        self.remember(&self.bodies, || request.body.clone());
        let from = Instant::now();
        let result = match self.claimed(&request) {
            Some(active) => self.serve_broken(client, &request, &active).await,
            None => match self.forward(&request).await {
                Ok(answer) => send(&mut client, &answer).await,
                Err(error) => Err(error),
            },
        };
        self.remember(&self.spans, || Span {
            method: request.method,
            target: request.target,
            from,
            to: Instant::now(),
        });
        result
    }

    fn remember<T>(&self, all: &Mutex<Vec<T>>, what: impl FnOnce() -> T) {
        if self.remembers {
            lock(all).push(what());
        }
    }

    fn claimed(&self, request: &Request) -> Option<Arc<Active>> {
        let rules = lock(&self.rules);
        let mut matching = rules
            .iter()
            .filter(|active| active.rule.matches(&request.method, &request.target));
        matching.find(|active| active.claims()).cloned()
    }

    async fn serve_broken(
        &self,
        mut client: TcpStream,
        request: &Request,
        active: &Active,
    ) -> io::Result<()> {
        match &active.rule.fault {
            Fault::HoldRequest => {
                active.hit();
                if !stays(&mut client, active.until_released()).await {
                    return Ok(());
                }
                let answer = self.forward(request).await?;
                send(&mut client, &answer).await
            }
            Fault::HoldResponse => {
                let answer = self.forward(request).await?;
                active.hit();
                if !stays(&mut client, active.until_released()).await {
                    return Ok(());
                }
                send(&mut client, &answer).await
            }
            Fault::Reset => {
                active.hit();
                client.set_zero_linger()
            }
            Fault::ResetAfterAnswer => {
                self.forward(request).await?;
                active.hit();
                client.set_zero_linger()
            }
            Fault::Cut(bytes) => {
                let answer = self.forward(request).await?;
                active.hit();
                send(&mut client, answer.get(..*bytes).unwrap_or(&answer)).await
            }
            Fault::Half => {
                let answer = self.forward(request).await?;
                active.hit();
                send(&mut client, half(&answer)).await
            }
            Fault::Padded(spaces) => {
                let answer = self.forward(request).await?;
                active.hit();
                let (head, body) = answer.split_at(body_start(&answer));
                send_anew(&mut client, head, body, *spaces).await
            }
            Fault::Delay(time) => {
                active.hit();
                tokio::time::sleep(*time).await;
                let answer = self.forward(request).await?;
                send(&mut client, &answer).await
            }
            Fault::Status(status, retry_after) => {
                active.hit();
                let retry_after = retry_after
                    .map(|seconds| format!("retry-after: {seconds}\r\n"))
                    .unwrap_or_default();
                send(&mut client, canned(*status, &retry_after).as_bytes()).await
            }
            Fault::Page(status, body) => {
                active.hit();
                send(&mut client, answer(*status, HTML, body).as_bytes()).await
            }
            Fault::Number(name, number) => {
                let answer = self.forward(request).await?;
                active.hit();
                let (head, body) = answer.split_at(body_start(&answer));
                let body = with_number(&String::from_utf8_lossy(body), name, *number);
                send_anew(&mut client, head, body.as_bytes(), 0).await
            }
            Fault::Redirect(status, address) => {
                active.hit();
                let location = format!("location: {address}{}\r\n", request.target);
                send(&mut client, canned(*status, &location).as_bytes()).await
            }
            Fault::NeverAnswer => {
                active.hit();
                stays(&mut client, active.until_released()).await;
                Ok(())
            }
        }
    }

    /// The server's whole answer, byte for byte. `connection: close` makes its
    /// end known.
    async fn forward(&self, request: &Request) -> io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(self.server).await?;
        let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method, request.target).into_bytes();
        for (name, value) in &request.headers {
            if !name.eq_ignore_ascii_case("connection") {
                bytes.extend_from_slice(name.as_bytes());
                bytes.extend_from_slice(b": ");
                bytes.extend_from_slice(value);
                bytes.extend_from_slice(b"\r\n");
            }
        }
        bytes.extend_from_slice(b"connection: close\r\n\r\n");
        bytes.extend_from_slice(&request.body);
        server.write_all(&bytes).await?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).await?;
        self.remember(&self.answers, || answer.clone());
        Ok(answer)
    }
}

/// True when `event` comes before the client leaves.
async fn stays(client: &mut TcpStream, event: impl Future<Output = ()>) -> bool {
    let leaves = async {
        let mut byte = [0];
        // Bytes beyond the request would be pipelining, which nobody does here.
        while client.read(&mut byte).await.is_ok_and(|read| read > 0) {}
    };
    tokio::pin!(leaves);
    tokio::select! {
        () = &mut leaves => return false,
        () = event => {}
    }
    // A client that was killed just before the event has left as well, which
    // the reactor may not have noticed yet.
    tokio::time::timeout(NOTICE, leaves).await.is_err()
}

async fn send(client: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    client.write_all(bytes).await?;
    client.shutdown().await
}

/// The first half of the body; of the head when there is no body.
fn half(answer: &[u8]) -> &[u8] {
    let (head, body) = answer.split_at(body_start(answer));
    let end = match body.len() {
        0 => head.len() / 2,
        body => head.len() + body / 2,
    };
    answer.get(..end).unwrap_or(answer)
}

/// Where the head ends.
fn body_start(answer: &[u8]) -> usize {
    memchr::memmem::find(answer, b"\r\n\r\n").map_or(answer.len(), |end| end + 4)
}

/// A body of another length under the head that it came with, after so many
/// spaces. It ends where the connection does.
async fn send_anew(
    client: &mut TcpStream,
    head: &[u8],
    body: &[u8],
    spaces: usize,
) -> io::Result<()> {
    for line in head.split_inclusive(|&byte| byte == b'\n') {
        let lower = line.to_ascii_lowercase();
        if lower.starts_with(b"transfer-encoding:") {
            return Err(io::Error::other("a chunked answer is not changed here"));
        }
        if !lower.starts_with(b"content-length:") {
            client.write_all(line).await?;
        }
    }
    let piece = [b' '; 64 * 1024];
    let mut left = spaces;
    while left > 0 {
        let part = piece.get(..left.min(piece.len())).unwrap_or(&piece);
        client.write_all(part).await?;
        left -= part.len();
    }
    send(client, body).await
}

/// The JSON with every number of this name replaced. As text, because the
/// server writes no spaces and a number of ours may fit no type of its own.
pub(super) fn with_number(json: &str, name: &str, number: u64) -> String {
    let key = format!("\"{name}\":");
    let mut parts = json.split(&key);
    let mut changed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|one: char| one.is_ascii_digit());
        changed.push_str(&key);
        if rest.len() < part.len() {
            changed.push_str(&number.to_string());
        }
        changed.push_str(rest);
    }
    changed
}

const HTML: &str = "content-type: text/html\r\n";

fn canned(status: u16, header: &str) -> String {
    let header = format!("content-type: application/json\r\n{header}");
    answer(status, &header, r#"{"errors":["injected"]}"#)
}

fn answer(status: u16, header: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} injected\r\n{header}\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

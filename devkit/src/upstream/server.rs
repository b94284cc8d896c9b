//! The sockets of the hostile API, and its memory.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::routes::{Step, answer};
use crate::process::Background;
use crate::wire::{Request, read_request};

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The method.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Names as sent, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Recorded {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_slice())
    }
}

type Record = Arc<Mutex<Vec<Recorded>>>;

/// A running hostile API; dropping it closes every connection.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    record: Record,
    held: watch::Sender<bool>,
    _background: Background,
}

impl Upstream {
    /// Listens on a free port of 127.0.0.1.
    pub fn start() -> Result<Self> {
        let record = Record::default();
        let (held, hold) = watch::channel(true);
        let for_thread = Arc::clone(&record);
        let (address, background) =
            Background::listen(move |listener| accept(listener, for_thread, hold))?;
        Ok(Self {
            address,
            record,
            held,
            _background: background,
        })
    }

    /// The address, `http://127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address as a socket's.
    pub fn socket(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.record).clone()
    }

    /// Answers `/held`, now and from now on.
    pub fn release(&self) {
        self.held.send_replace(false);
    }

    /// Lets `/held` wait again, as it does from the start.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        lock(&self.record).clear();
    }
}

fn lock(record: &Record) -> std::sync::MutexGuard<'_, Vec<Recorded>> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, record: Record, held: watch::Receiver<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        let (record, held) = (Arc::clone(&record), held.clone());
        // A client that leaves early is its own affair.
        tokio::spawn(async move { serve(client, &record, held).await });
    }
}

async fn serve(
    mut client: TcpStream,
    record: &Record,
    mut held: watch::Receiver<bool>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let Some(request) = read_request(&mut client).await? else {
        return Ok(());
    };
    lock(record).push(recorded(&request));
    for step in answer(&request) {
        match step {
            Step::Write(bytes) => client.write_all(&bytes).await?,
            Step::Pause(time) => tokio::time::sleep(time).await,
            Step::Held => {
                let released = held.wait_for(|held| !held).await;
                released.map_err(|_| io::ErrorKind::ConnectionAborted)?;
            }
            Step::Forever => {
                let mut byte = [0];
                while client.read(&mut byte).await? > 0 {}
            }
        }
    }
    client.shutdown().await
}

fn recorded(request: &Request) -> Recorded {
    Recorded {
        method: request.method.clone(),
        target: request.target.clone(),
        headers: request.headers.clone(),
        body: request.body.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Encoding;

    async fn get(upstream: &Upstream, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(upstream.socket()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer t0ken\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn reflects_in_every_encoding_and_records() {
        let upstream = Upstream::start().unwrap();
        for (name, encoding) in Encoding::ALL {
            let path = format!("/reflect/{name}");
            let answer = get(&upstream, &path).await;
            let sent = format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer t0ken\r\n\r\n");
            assert!(
                answer.ends_with(&encoding.encode(sent.as_bytes())),
                "{name}"
            );
        }
        let requests = upstream.requests();
        assert_eq!(requests.len(), Encoding::ALL.len());
        assert!(
            requests
                .iter()
                .all(|r| r.header("authorization") == Some(b"Bearer t0ken"))
        );
        upstream.forget();
        assert!(upstream.requests().is_empty());
    }

    #[tokio::test]
    async fn other_places_of_reflection() {
        let upstream = Upstream::start().unwrap();
        for (path, found) in [
            ("/reflect/raw?split=3&status=201", "HTTP/1.1 201 "),
            ("/reflect/raw?split=3", "\r\n3\r\nGET\r\n"),
            (
                "/reflect-header/raw",
                "x-reflected: GET /reflect-header/raw HTTP/1.1 Auth",
            ),
            ("/reflect-header-name", "\r\nx-t0ken: 1\r\n"),
            ("/reflect-reason", "HTTP/1.1 200 Bearer t0ken\r\n"),
            ("/trailers", "0\r\nx-reflected: Bearer t0ken\r\n\r\n"),
            ("/set-cookie", "set-cookie: session=Bearer+t0ken"),
            ("/206", "HTTP/1.1 206 "),
            ("/multipart-ranges", "multipart/byteranges"),
            ("/encoding/unknown", "content-encoding: unknown"),
            (
                "/redirect?to=http%3A%2F%2Fx%2Fy&code=302",
                "HTTP/1.1 302 Elsewhere\r\nlocation: http://x/y\r\n",
            ),
            ("/status/418", "HTTP/1.1 418 "),
            ("/bomb/1000", "content-encoding: gzip"),
            ("/slow?pieces=2&pause=1", "\r\n\r\nxx"),
            (
                "/short",
                "content-length: 100\r\nconnection: close\r\n\r\nshort",
            ),
            ("/elsewhere", "HTTP/1.1 404 "),
        ] {
            let answer = get(&upstream, path).await;
            let text = String::from_utf8_lossy(&answer);
            assert!(text.contains(found), "{path}: {text}");
        }
        assert!(get(&upstream, "/big/200000").await.len() > 200_000);
    }
}

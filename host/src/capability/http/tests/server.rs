//! A server that records what it gets and answers as it is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server on a free port of 127.0.0.1; it ends with the test's runtime.
pub(super) struct Server {
    pub(super) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers every request with these pieces, a moment apart, and closes.
    pub(super) async fn answering<const N: usize>(pieces: [&[u8]; N]) -> Self {
        Self::start(pieces.iter().map(|piece| piece.to_vec()).collect(), false).await
    }

    async fn start(pieces: Vec<Vec<u8>>, keep_alive: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, pieces.clone(), keep_alive, seen.clone()));
            }
        });
        Self { port, requests }
    }

    /// Answers 200 with a body and keeps the connection.
    pub(super) async fn with_body(headers: &str, body: &[u8]) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{headers}\r\n");
        Self::start(vec![[head.as_bytes(), body].concat()], true).await
    }

    /// What arrived so far, one text for each request.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    pieces: Vec<Vec<u8>>,
    keep_alive: bool,
    seen: Arc<Mutex<Vec<String>>>,
) {
    loop {
        let mut got = Vec::new();
        let mut buffer = [0; 4_096];
        while !is_complete(&got) {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(n) => got.extend_from_slice(&buffer[..n]),
            }
        }
        seen.lock()
            .unwrap()
            .push(String::from_utf8_lossy(&got).into_owned());
        for piece in &pieces {
            if stream.write_all(piece).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if !keep_alive {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

fn is_complete(got: &[u8]) -> bool {
    let text = String::from_utf8_lossy(got);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |value| value.parse().unwrap());
    body.len() >= length
}

//! Where a host's key set is published.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::process::Background;
use crate::wire::read_request;

#[derive(Debug, Default)]
struct Published {
    text: String,
    fetched: u64,
}

/// Serves one JSON text on every path; dropping it stops it.
#[derive(Debug)]
pub struct KeySetServer {
    address: SocketAddr,
    published: Arc<Mutex<Published>>,
    _background: Background,
}

impl KeySetServer {
    /// Listens on a free port of 127.0.0.1.
    pub fn start(text: &str) -> Result<Self> {
        let published = Arc::new(Mutex::new(Published {
            text: text.to_owned(),
            fetched: 0,
        }));
        let for_thread = Arc::clone(&published);
        let (address, background) =
            Background::listen(move |listener| accept(listener, for_thread))?;
        Ok(Self {
            address,
            published,
            _background: background,
        })
    }

    /// What Vault's `jwks_url` names.
    pub fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    /// From now on it serves this text.
    pub fn publish(&self, text: &str) {
        text.clone_into(&mut lock(&self.published).text);
    }

    /// How often it was asked.
    pub fn fetched(&self) -> u64 {
        lock(&self.published).fetched
    }
}

fn lock(published: &Mutex<Published>) -> MutexGuard<'_, Published> {
    published.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, published: Arc<Mutex<Published>>) {
    while let Ok((client, _)) = listener.accept().await {
        let published = Arc::clone(&published);
        tokio::spawn(async move { serve(client, &published).await });
    }
}

async fn serve(mut client: TcpStream, published: &Mutex<Published>) -> std::io::Result<()> {
    if read_request(&mut client).await?.is_none() {
        return Ok(());
    }
    let text = {
        let mut published = lock(published);
        published.fetched += 1;
        published.text.clone()
    };
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    client.write_all(answer.as_bytes()).await?;
    client.shutdown().await
}

//! Where an issuer publishes its keys.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use cofferdam_devkit::identity::Authority;
use cofferdam_devkit::process::Background;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

/// Serves one text on every path, over TLS. Dropped, it stops.
pub(super) struct Publisher {
    address: SocketAddr,
    /// The answer, from its status on.
    answer: Arc<Mutex<String>>,
    asked: Arc<AtomicU32>,
    _background: Background,
}

impl Publisher {
    /// On a free port, with a certificate of this authority.
    pub(super) fn start(authority: &Authority, text: &str) -> Self {
        let issued = authority.server(&["127.0.0.1"]).unwrap();
        let chain = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let answer = Arc::new(Mutex::new(ok(text)));
        let asked = Arc::new(AtomicU32::new(0));
        let (told, counted) = (Arc::clone(&answer), Arc::clone(&asked));
        let (address, background) = Background::listen(move |listener| async move {
            let mut silent = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                counted.fetch_add(1, Ordering::Relaxed);
                let answer = told.lock().unwrap().clone();
                if answer.is_empty() {
                    silent.push(stream);
                    continue;
                }
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        })
        .unwrap();
        Self {
            address,
            answer,
            asked,
            _background: background,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("https://{}/keys", self.address)
    }

    /// From now on it serves this text.
    pub(super) fn publish(&self, text: &str) {
        *self.answer.lock().unwrap() = ok(text);
    }

    /// From now on it answers with this status.
    pub(super) fn fail(&self, status: &str) {
        *self.answer.lock().unwrap() =
            format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }

    /// From now on it takes requests and answers none.
    pub(super) fn hang(&self) {
        self.answer.lock().unwrap().clear();
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }
}

fn ok(text: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    )
}

//! Where a service is, and a connection to it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, header};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use url::Url;

use super::{Access, ClientError};
use crate::tcp;

/// How long connecting may take, with a handshake where there is one.
const CONNECT: Duration = Duration::from_secs(5);

/// After so long a silence the other side is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Where a service is.
#[derive(Clone)]
pub(super) enum Place {
    /// On this machine.
    Socket(PathBuf),
    /// At an address.
    Remote(Arc<Remote>),
}

/// A service over TCP.
pub(super) struct Remote {
    host: String,
    port: u16,
    name: ServerName<'static>,
    tls: Arc<ClientConfig>,
    access: Access,
}

/// What carries one request.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Remote {
    /// Takes the address apart and reads the files. Connects to nobody.
    pub(super) fn new(address: &str, access: Access) -> Result<Self, ClientError> {
        let wrong = ClientError::Address;
        // The address itself is not echoed: it may hold `user:password@`.
        let url = Url::parse(address).map_err(|_| wrong("is not a URL"))?;
        match url.scheme() {
            "https" => {}
            "http" => return Err(wrong("is plain http, which no service speaks over TCP")),
            _ => return Err(wrong("is neither `https://` nor a socket")),
        }
        let is_bare = url.username().is_empty()
            && url.password().is_none()
            && matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none();
        if !is_bare {
            return Err(wrong("is more than `https://HOST:PORT`"));
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(wrong("names no host"));
        };
        // An IPv6 address stands in brackets in a URL, and nowhere else.
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| wrong("names no host"))?;
        Ok(Self {
            tls: Arc::new(access.tls()?),
            host,
            port,
            name,
            access,
        })
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, std::io::Error> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        tcp::prepare(&stream, KEEPALIVE);
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        Ok(Box::new(
            connector.connect(self.name.clone(), stream).await?,
        ))
    }
}

impl Place {
    /// A connection of its own.
    pub(super) async fn connect(&self) -> Result<Box<dyn Stream>, ClientError> {
        let connecting = async {
            match self {
                Self::Socket(path) => {
                    let stream = UnixStream::connect(path).await?;
                    Ok(Box::new(stream) as Box<dyn Stream>)
                }
                Self::Remote(remote) => remote.connect().await,
            }
        };
        let connected = tokio::time::timeout(CONNECT, connecting).await;
        let connected = connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        connected.map_err(|error| ClientError::of_connecting(self, error))
    }

    /// The header `Host`.
    pub(super) fn host(&self) -> HeaderValue {
        let fallback = HeaderValue::from_static("cofferdam");
        match self {
            Self::Socket(_) => fallback,
            Self::Remote(remote) => HeaderValue::from_str(&remote.authority()).unwrap_or(fallback),
        }
    }

    /// What a request says of whoever makes it, by name and value.
    pub(super) fn authorization(
        &self,
    ) -> Result<Option<(header::HeaderName, HeaderValue)>, ClientError> {
        match self {
            Self::Socket(_) => Ok(None),
            Self::Remote(remote) => {
                let value = remote.access.authorization()?;
                Ok(value.map(|value| (header::AUTHORIZATION, value)))
            }
        }
    }

    /// Whether a certificate is shown to it.
    pub(super) fn is_shown_a_certificate(&self) -> bool {
        match self {
            Self::Socket(_) => false,
            Self::Remote(remote) => remote.access.certificate.is_some(),
        }
    }

    /// Whether it is a socket of this machine.
    pub(super) fn is_socket(&self) -> bool {
        matches!(self, Self::Socket(_))
    }
}

impl Remote {
    fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Remote(remote) => write!(f, "https://{}", remote.authority()),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

//! Why nobody can be let in over TCP.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::guarded::FileError;
use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::secret::CredentialFileError;
use crate::server::token::KeySetError;

/// A `[server.tcp]` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TcpError {
    /// A file cannot be read, or others can write it.
    #[error("`server.tcp.{field}` cannot be used")]
    File {
        /// The field that names it.
        field: &'static str,
        /// Why.
        source: FileError,
    },
    /// The file of the key cannot be read, or others can read it.
    #[error("`server.tcp.key` cannot be used")]
    Key(#[source] CredentialFileError),
    /// A file holds something else.
    #[error("`server.tcp.{field}`: `{}` {fault}", path.display())]
    Content {
        /// The field that names it.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: &'static str,
    },
    /// The key is another certificate's.
    #[error(
        "the key in `server.tcp.key` does not belong to the certificate in `server.tcp.certificate`"
    )]
    Mismatch,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(&'static str),
    /// The key set cannot be used.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

impl Diagnostic for TcpError {
    fn exit(&self) -> Exit {
        match self {
            Self::KeySet(error) => error.exit(),
            _ => Exit::Usage,
        }
    }

    fn blame(&self) -> Blame {
        Blame::Operator
    }

    fn hint(&self) -> Option<String> {
        let cure = match self {
            Self::File { source, .. } => return source.hint(),
            Self::Key(source) => return source.hint(),
            Self::KeySet(error) => return error.hint(),
            Self::Content { field: "key", .. } => {
                "it holds one key in PEM: PKCS #8, PKCS #1 or SEC 1, not encrypted"
            }
            Self::Content { .. } => {
                "it holds certificates in PEM; of a chain the service's own first"
            }
            Self::Mismatch => "whoever renews them must write both; then reload",
            Self::Tls(_) => return None,
            Self::Listen { .. } => {
                "`listen` under [server.tcp] names an address of this machine and a port that is free"
            }
        };
        Some(cure.to_owned())
    }
}

//! Where the service is that a command asks, and as whom it asks.

use std::path::PathBuf;

use clap::builder::TypedValueParser as _;

use crate::client::{Access, Certificate, Client, ClientError};

/// How a service at an address is trusted, and who we are to it. A Unix socket
/// needs none of it: the kernel says who we are.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct AccessArgs {
    /// Those who vouch for the certificate of a service at `https://…`, PEM;
    /// default: the system's.
    #[arg(long, value_name = "FILE", requires = "server")]
    server_ca: Option<PathBuf>,
    /// The certificate to show to a service at `https://…`, PEM.
    #[arg(long, value_name = "FILE", requires_all = ["server", "client_key"])]
    client_certificate: Option<PathBuf>,
    /// Its key, PEM; nobody else can read the file.
    #[arg(long, value_name = "FILE", requires_all = ["server", "client_certificate"])]
    client_key: Option<PathBuf>,
    /// A file that holds a token for a service at `https://…`, alone and in one
    /// line; nobody else can read it.
    #[arg(long, value_name = "FILE", requires = "server")]
    token_file: Option<PathBuf>,
}

/// Where the service listens, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Server {
    /// A Unix socket.
    Socket(PathBuf),
    /// A URL.
    Address(String),
}

impl From<std::ffi::OsString> for Server {
    fn from(text: std::ffi::OsString) -> Self {
        match text.to_str() {
            Some(url) if url.contains("://") => Self::Address(url.to_owned()),
            _ => Self::Socket(text.into()),
        }
    }
}

/// Reads it from the command line.
pub(super) fn parser() -> impl clap::builder::TypedValueParser<Value = Server> {
    clap::builder::OsStringValueParser::new().map(Server::from)
}

/// A client of this service.
pub(super) fn client(server: &Server, args: AccessArgs) -> Result<Client, ClientError> {
    let access = Access {
        ca: args.server_ca,
        certificate: (args.client_certificate.zip(args.client_key))
            .map(|(certificate, key)| Certificate { certificate, key }),
        token: args.token_file,
    };
    match server {
        Server::Address(url) => Client::https(url, access),
        Server::Socket(path) => {
            let is_bare =
                access.ca.is_none() && access.certificate.is_none() && access.token.is_none();
            match is_bare {
                true => Ok(Client::unix(path)),
                // Who asks to be taken for somebody would not be.
                false => Err(ClientError::Address(
                    "is a Unix socket, which takes no certificate and no token",
                )),
            }
        }
    }
}

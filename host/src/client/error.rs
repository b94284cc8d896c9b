//! Why the service did not do what was asked.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use super::place::Place;
use crate::api::Problem;
use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::secret::CredentialFileError;

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there, or it does not let us in.
    #[error("cannot connect to the service at `{place}`")]
    Unreachable {
        /// The socket or the address.
        place: String,
        /// Whether it is a socket.
        is_socket: bool,
        /// Why.
        source: io::Error,
    },
    /// What answers has no certificate that we trust.
    #[error("the certificate of `{place}` is not trusted")]
    Distrusted {
        /// The address.
        place: String,
        /// Why.
        source: rustls::Error,
    },
    /// The service ended the handshake: it wants a certificate, or another.
    #[error("the service at `{place}` does not let us in: {}", certificate(*.is_shown))]
    NotAdmitted {
        /// The address.
        place: String,
        /// Whether we showed a certificate.
        is_shown: bool,
    },
    /// The connection broke before the answer was whole.
    #[error("the connection to the service broke")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    /// The service refused, and says why.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// What answered is not the service, or another version of it.
    #[error("the answer of `{place}` (status {status}) is not one of cofferdam's")]
    Answer {
        /// The socket or the address.
        place: String,
        /// The answer's status.
        status: u16,
    },
    /// The request cannot be written.
    #[error("the request cannot be written: {0}")]
    Request(String),
    /// The address of the service cannot be used.
    #[error("the address of the service {0}")]
    Address(&'static str),
    /// A file with certificates or a key cannot be used.
    #[error("the file {} {fault}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: &'static str,
    },
    /// A file with a credential cannot be used.
    #[error(transparent)]
    Credential(#[from] CredentialFileError),
    /// TLS cannot be set up.
    #[error("{0}")]
    Tls(&'static str),
}

fn certificate(is_shown: bool) -> &'static str {
    match is_shown {
        true => "it does not take our certificate",
        false => "it wants a certificate",
    }
}

impl ClientError {
    /// Whether the call may be repeated as it is, and might work then.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken(_) => true,
            Self::Refused(problem) => problem.retry_after.is_some(),
            _ => false,
        }
    }

    /// A connection that did not come about.
    pub(super) fn of_connecting(place: &Place, error: io::Error) -> Self {
        match tls_error(&error) {
            Some(rustls::Error::AlertReceived(_)) => Self::not_admitted(place),
            Some(fault) => Self::Distrusted {
                place: place.to_string(),
                source: fault.clone(),
            },
            None => Self::Unreachable {
                place: place.to_string(),
                is_socket: place.is_socket(),
                source: error,
            },
        }
    }

    /// A connection that broke off. With TLS 1.3 a server says only after the
    /// handshake what it thinks of a certificate.
    pub(super) fn of_breaking(place: &Place, error: hyper::Error) -> Self {
        match tls_error(&error) {
            Some(rustls::Error::AlertReceived(_)) => Self::not_admitted(place),
            _ => Self::Broken(error.into()),
        }
    }

    fn not_admitted(place: &Place) -> Self {
        Self::NotAdmitted {
            place: place.to_string(),
            is_shown: place.is_shown_a_certificate(),
        }
    }
}

/// What TLS says, somewhere below an error.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>() {
            Some(outer) => outer.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

impl Diagnostic for ClientError {
    fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } | Self::Broken(_) => Exit::Unavailable,
            Self::Refused(problem) => Exit::from_code(problem.exit),
            Self::NotAdmitted { .. } => Exit::Denied,
            _ => Exit::Usage,
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Refused(problem) => problem.blame,
            Self::Request(_) => Blame::Task,
            _ => Blame::Operator,
        }
    }

    fn hint(&self) -> Option<String> {
        let cure = match self {
            Self::Unreachable {
                place,
                is_socket: true,
                ..
            } => {
                return Some(format!(
                    "is `cofferdam serve` up, and is `{place}` the `socket` of its [server] table?"
                ));
            }
            Self::Unreachable { .. } => {
                "is `cofferdam serve` up, and does it listen there (`listen` under [server.tcp])?"
            }
            Self::Distrusted { .. } => {
                "name the authority that issued it with `--server-ca FILE`; if nothing was \
                 changed, somebody may stand between"
            }
            Self::NotAdmitted { is_shown: true, .. } => {
                "it must be valid, made for clients and issued by whom the service's `client_ca` \
                 names"
            }
            Self::NotAdmitted { .. } => {
                "show one with `--client-certificate FILE --client-key FILE`"
            }
            Self::Broken(_) => {
                "the run goes on without us; the same command with the same --idempotency-key \
                 finds it again"
            }
            Self::Refused(problem) => return problem.hint.clone(),
            Self::Answer { .. } => "look at the service's version and ours",
            Self::Address(_) => "write `https://HOST:PORT`, or the path of a Unix socket",
            Self::Credential(error) => return error.hint(),
            Self::File { .. } | Self::Request(_) | Self::Tls(_) => return None,
        };
        Some(cure.to_owned())
    }
}

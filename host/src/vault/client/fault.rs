//! How a connection failed, in closed words.

use std::error::Error;

use super::nodes::Node;
use crate::vault::VaultError;
use crate::vault::error::ConnectionFault;

/// A closed description: the client's own text holds the URL.
pub(super) fn fault(node: &Node, error: &reqwest::Error) -> VaultError {
    let mut fault = if error.is_timeout() {
        ConnectionFault::TimedOut
    } else {
        ConnectionFault::Broken
    };
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            fault = of_tls(tls);
        } else if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            if io.kind() == std::io::ErrorKind::ConnectionRefused {
                fault = ConnectionFault::Refused;
            } else if let Some(tls) = within(io) {
                fault = of_tls(tls);
            }
        } else if inner.to_string() == "dns error" {
            fault = ConnectionFault::Name;
        }
        cause = inner.source();
    }
    VaultError::Unreachable {
        address: node.address.clone(),
        fault,
        maybe_sent: !error.is_connect(),
    }
}

/// rustls's error, which arrives inside one or two of the system's, whose
/// `source` skips it.
fn within(error: &std::io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    let nested = || inner.downcast_ref::<std::io::Error>().and_then(within);
    inner.downcast_ref::<rustls::Error>().or_else(nested)
}

fn of_tls(error: &rustls::Error) -> ConnectionFault {
    use rustls::CertificateError as Fault;
    match error {
        rustls::Error::InvalidCertificate(
            Fault::NotValidForName | Fault::NotValidForNameContext { .. },
        ) => ConnectionFault::WrongName,
        rustls::Error::InvalidCertificate(
            Fault::Expired
            | Fault::ExpiredContext { .. }
            | Fault::NotValidYet
            | Fault::NotValidYetContext { .. },
        ) => ConnectionFault::WrongTime,
        _ => ConnectionFault::Tls,
    }
}

//! How a connection failed, in closed words.

use std::error::Error;
use std::io::ErrorKind;

use super::nodes::Node;
use crate::vault::VaultError;
use crate::vault::error::ConnectionFault;

/// A closed description: the client's own text may hold the address.
pub(super) fn fault(node: &Node, error: &(dyn Error + 'static), maybe_sent: bool) -> VaultError {
    let mut fault = ConnectionFault::Broken;
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            fault = of_tls(tls);
        } else if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            match (io.kind(), within(io)) {
                (ErrorKind::ConnectionRefused, _) => fault = ConnectionFault::Refused,
                (ErrorKind::TimedOut, _) => fault = ConnectionFault::TimedOut,
                (_, Some(tls)) => fault = of_tls(tls),
                _ => {}
            }
        } else if inner.to_string() == "dns error" {
            fault = ConnectionFault::Name;
        }
        cause = inner.source();
    }
    VaultError::Unreachable {
        address: node.address.clone(),
        fault,
        maybe_sent,
    }
}

/// No whole answer came in time.
pub(super) fn late(node: &Node) -> VaultError {
    VaultError::Unreachable {
        address: node.address.clone(),
        fault: ConnectionFault::TimedOut,
        maybe_sent: true,
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

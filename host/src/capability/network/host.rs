//! The host of a grant, as the reviewer reads it.

use url::Host;

use super::Network;
use crate::capability::field::FieldError;

/// Checks that a host is a plain name, or an address of the grant's network;
/// `field` is the field that names it.
pub(crate) fn check_host(
    field: &'static str,
    host: &Host<&str>,
    network: Network,
) -> Result<(), FieldError> {
    let address = match host {
        Host::Domain(name) => {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            let labels = |label: &str| !label.is_empty() && label.bytes().all(plain);
            if !name.split('.').all(labels) {
                return Err(FieldError::new(
                    field,
                    "has a host that is not a plain DNS name; use lower-case letters, digits, `-` and `.`, without a dot at the end",
                ));
            }
            let local = *name == "localhost" || name.ends_with(".localhost");
            if local && network != Network::Loopback {
                return Err(wrong_network(field, "loopback"));
            }
            return Ok(());
        }
        Host::Ipv4(address) => (*address).into(),
        Host::Ipv6(address) => (*address).into(),
    };
    if network.admits(address) {
        return Ok(());
    }
    for (other, name) in [
        (Network::Loopback, "loopback"),
        (Network::Private, "private"),
        (Network::Public, "public"),
    ] {
        if other.admits(address) {
            return Err(wrong_network(field, name));
        }
    }
    Err(FieldError::new(
        field,
        "has an address that is never a destination (link-local, metadata, multicast, reserved or a translation prefix)",
    ))
}

fn wrong_network(field: &'static str, is: &str) -> FieldError {
    FieldError::new(
        field,
        format!("lies in another network than `network` allows; it needs `network = \"{is}\"`"),
    )
}

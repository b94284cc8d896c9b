//! Who can be reached from elsewhere.

use std::collections::BTreeSet;
use std::fs;

/// 127.0.0.0/8 as the kernel writes it, the first byte last.
const HERE: &str = "7F";
/// `::1`, and 127.0.0.0/8 as it stands in IPv6.
const HERE_6: &str = "00000000000000000000000001000000";
const HERE_MAPPED: &str = "0000000000000000FFFF0000";

/// The TCP sockets of this machine that listen on more than a loopback address, as the
/// kernel writes address and port.
pub fn open_to_others() -> BTreeSet<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let lines = tables.iter().flatten().flat_map(|table| table.lines());
    lines
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, _, state) = (fields.next()?, fields.next(), fields.next()?);
            let (address, _) = local.split_once(':')?;
            // 0A is LISTEN.
            (state == "0A" && !is_here(address)).then(|| local.to_owned())
        })
        .collect()
}

fn is_here(address: &str) -> bool {
    let is_four = |address: &str| address.len() == 8 && address.ends_with(HERE);
    let mapped = address.strip_prefix(HERE_MAPPED);
    is_four(address) || address == HERE_6 || mapped.is_some_and(is_four)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_loopback_address_is_not_open_and_any_other_is() {
        for address in ["127.0.0.1:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let port = format!(":{:04X}", listener.local_addr().unwrap().port());
            let found = open_to_others();
            assert!(!found.iter().any(|it| it.ends_with(&port)), "{address}");
        }
        for address in ["0.0.0.0:0", "[::]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let port = format!(":{:04X}", listener.local_addr().unwrap().port());
            let found = open_to_others();
            assert!(found.iter().any(|it| it.ends_with(&port)), "{address}");
        }
    }
}

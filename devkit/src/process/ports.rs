//! Ports of 127.0.0.1 that nobody listens on.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{LazyLock, Mutex, PoisonError};

use anyhow::{Context, Result, bail};

/// How many ports are tried before giving up.
const TRIES: u32 = 100;

/// Ports that this process gave away already: two tests that ask at once must
/// not get the same one before either has bound it.
static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A port that was free a moment ago. Another process can still take it before
/// the caller binds it; prefer port 0 where a server reports its choice.
pub fn free_port() -> Result<u16> {
    find(1)
}

/// The first of two neighbouring ports that were both free a moment ago.
/// OpenBao takes the port it is told and the next one.
pub fn free_pair() -> Result<u16> {
    find(2)
}

fn find(count: u16) -> Result<u16> {
    for _ in 0..TRIES {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        let port = first.local_addr().context("no free port")?.port();
        let Some(end) = port.checked_add(count) else {
            continue;
        };
        // Held until all are known to be free.
        let rest: Result<Vec<_>, _> = (port + 1..end)
            .map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)))
            .collect();
        if rest.is_err() {
            continue;
        }
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        if (port..end).any(|port| given.contains(&port)) {
            continue;
        }
        given.extend(port..end);
        return Ok(port);
    }
    bail!("no {count} neighbouring free ports on 127.0.0.1 after {TRIES} tries")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_free_and_do_not_overlap() {
        let pairs: Vec<u16> = (0..20).map(|_| free_pair().unwrap()).collect();
        let mut all: Vec<u16> = pairs.iter().flat_map(|port| [*port, port + 1]).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 40);
        for port in all {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        }
    }
}

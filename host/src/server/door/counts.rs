//! How many connections there are, and whose.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::caller::Owner;
use crate::lock::Mutex;
use crate::server::access::Peer;
use crate::server::service::Service;

/// Connections of callers whom no rule names, all together: enough to be told.
const STRANGERS: u32 = 16;

/// Connections over TCP that have not yet said who they are, from one address.
/// Each has seconds for its handshake, and half a minute for a token.
const UNPROVEN_OF_ADDRESS: u32 = 32;

/// The same from all of them together.
const UNPROVEN: u32 = 512;

/// Counts connections by what is known of them. Clones share it.
#[derive(Clone, Default)]
pub(in crate::server) struct Doors(Arc<Mutex<HashMap<Counted, u32>>>);

/// As what a connection counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Counted {
    /// A caller whom a rule names.
    Owner(Owner),
    /// One whom no rule names.
    Stranger,
    /// One at this address who has not said yet who it is.
    Unproven(IpAddr),
    /// A user of this machine whose groups are being looked up.
    Local(u32),
}

/// Who stands at a door.
pub(super) enum Newcomer {
    /// Somebody at this address.
    From(IpAddr),
    /// A user of this machine, whose groups are not known yet.
    User(u32),
}

/// The place of one connection. Dropped with it.
pub(super) struct Place {
    counted: Mutex<Counted>,
    doors: Doors,
    service: Service,
}

impl Doors {
    /// A place for a connection of one who is not known yet. None when there are too
    /// many.
    pub(super) fn let_in(&self, service: &Service, newcomer: Newcomer) -> Option<Place> {
        let limits = service.limits();
        let (counted, most) = match newcomer {
            Newcomer::From(address) => (Counted::Unproven(network(address)), UNPROVEN_OF_ADDRESS),
            Newcomer::User(uid) => (Counted::Local(uid), of_one(service)),
        };
        let mut counts = self.0.lock();
        let all: u32 = counts.values().sum();
        let unproven = counts
            .iter()
            .filter(|(who, _)| matches!(who, Counted::Unproven(_)));
        let unproven: u32 = unproven.map(|(_, count)| count).sum();
        if all >= limits.connections.min(connections_for_files()) {
            service.metrics().limited("connections");
            return None;
        }
        let is_full = matches!(counted, Counted::Unproven(_)) && unproven >= UNPROVEN;
        if is_full || !take(&mut counts, &counted, most) {
            counted.turned_away(service);
            return None;
        }
        drop(counts);
        service.metrics().connections().inc();
        Some(Place {
            counted: Mutex::new(counted),
            doors: self.clone(),
            service: service.clone(),
        })
    }
}

impl Counted {
    /// With how many of its kind there may be.
    fn new(service: &Service, peer: &Peer) -> (Self, u32) {
        match service.knows(peer) {
            true => (Self::Owner(peer.owner.clone()), of_one(service)),
            false => (Self::Stranger, STRANGERS),
        }
    }

    /// Whether it is known whose it is.
    fn is_somebody(&self) -> bool {
        matches!(self, Self::Owner(_) | Self::Stranger)
    }

    /// Counts one that was turned away by the bound of its kind.
    fn turned_away(&self, service: &Service) {
        let metrics = service.metrics();
        match self {
            Self::Owner(_) | Self::Local(_) => metrics.limited("connections_per_caller"),
            Self::Stranger => metrics.turned_away("strangers"),
            Self::Unproven(_) => metrics.turned_away("unproven"),
        }
    }
}

impl Place {
    /// It is known now whose it is: whether this caller may have one more. A
    /// connection that was counted for a caller stays that one's.
    pub(super) fn belongs_to(&self, peer: &Peer) -> bool {
        let mut counted = self.counted.lock();
        if counted.is_somebody() {
            return true;
        }
        let (new, most) = Counted::new(&self.service, peer);
        let mut counts = self.doors.0.lock();
        if !take(&mut counts, &new, most) {
            drop(counts);
            new.turned_away(&self.service);
            return false;
        }
        leave(&mut counts, &counted);
        *counted = new;
        true
    }

    /// Whether it is known whose it is.
    pub(super) fn is_known(&self) -> bool {
        self.counted.lock().is_somebody()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        leave(&mut self.doors.0.lock(), &self.counted.lock());
        self.service.metrics().connections().dec();
    }
}

/// What one sender can have many of: a whole IPv4 address, and of IPv6 the part
/// that a network gets.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(network.into())
        }
        address => address,
    }
}

/// How many one caller may have: never all that there are descriptors for.
fn of_one(service: &Service) -> u32 {
    let most = service.limits().connections_per_caller;
    most.min(connections_for_files() / 2)
}

fn take(counts: &mut HashMap<Counted, u32>, counted: &Counted, most: u32) -> bool {
    match counts.get_mut(counted) {
        Some(own) if *own >= most => false,
        Some(own) => {
            *own += 1;
            true
        }
        None if most == 0 => false,
        None => {
            counts.insert(counted.clone(), 1);
            true
        }
    }
}

fn leave(counts: &mut HashMap<Counted, u32>, counted: &Counted) {
    if let Some(own) = counts.get_mut(counted) {
        *own = own.saturating_sub(1);
        if *own == 0 {
            counts.remove(counted);
        }
    }
}

/// Connections for which there are file descriptors, when the service keeps a
/// quarter of them for itself: for Vault, for APIs, for files.
fn connections_for_files() -> u32 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = limit.current.unwrap_or(u64::MAX);
    u32::try_from(most / 4 * 3).unwrap_or(u32::MAX)
}

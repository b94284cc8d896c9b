//! How many connections there are, and whose.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::caller::Owner;
use crate::server::access::Peer;
use crate::server::service::Service;

/// Connections of callers whom no rule names, all together: enough to be told.
const STRANGERS: u32 = 16;

/// Connections over TCP that have not yet said who they are, all together. Each
/// has seconds for its handshake, and half a minute for a token.
const UNPROVEN: u32 = 128;

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
    /// One who has not said yet who it is.
    Unproven,
}

/// The place of one connection. Dropped with it.
pub(super) struct Place {
    counted: Mutex<Counted>,
    doors: Doors,
    service: Service,
}

impl Doors {
    /// A place for a connection of this caller, or of one who is not known yet.
    /// None when there are too many.
    pub(super) fn let_in(&self, service: &Service, peer: Option<&Peer>) -> Option<Place> {
        let limits = service.limits();
        let (counted, most) = Counted::new(service, peer);
        let mut counts = self.0.lock();
        let all: u32 = counts.values().sum();
        let is_full = all >= limits.connections.min(connections_for_files());
        if is_full || !take(&mut counts, &counted, most) {
            service.metrics().limited("connections");
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
    fn new(service: &Service, peer: Option<&Peer>) -> (Self, u32) {
        match peer {
            None => (Self::Unproven, UNPROVEN),
            Some(peer) if service.knows(peer) => {
                let most = service.limits().connections_per_caller;
                (Self::Owner(peer.owner.clone()), most)
            }
            Some(_) => (Self::Stranger, STRANGERS),
        }
    }
}

impl Place {
    /// It is known now whose it is: whether this caller may have one more. A
    /// connection that was counted for a caller stays that one's.
    pub(super) fn belongs_to(&self, peer: &Peer) -> bool {
        let mut counted = self.counted.lock();
        if *counted != Counted::Unproven {
            return true;
        }
        let (new, most) = Counted::new(&self.service, Some(peer));
        let mut counts = self.doors.0.lock();
        if !take(&mut counts, &new, most) {
            drop(counts);
            self.service.metrics().limited("connections");
            return false;
        }
        leave(&mut counts, &counted);
        *counted = new;
        true
    }

    /// Whether it is known whose it is.
    pub(super) fn is_known(&self) -> bool {
        *self.counted.lock() != Counted::Unproven
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        leave(&mut self.doors.0.lock(), &self.counted.lock());
        self.service.metrics().connections().dec();
    }
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

//! The nodes of the cluster, and which of them is asked.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Uri;
use http::uri::PathAndQuery;
use serde::Deserialize;

use super::NodeHealth;
use crate::lock::Mutex;
use crate::vault::VaultError;
use crate::vault::config::{Addresses, VaultAddress};
use crate::vault::error::ConnectionFault;

/// How long a found health is taken for granted. Within it attempts start
/// without another question.
const FRESH: Duration = Duration::from_secs(10);

/// How long a node comes last whose gateway answered in its place: it says that
/// it is healthy, but what is asked of it may not arrive.
const DISTRUSTED: Duration = Duration::from_secs(60);

/// One address.
pub(super) struct Node {
    /// As it is configured.
    pub(super) address: String,
    /// Its path ends in `/v1/`.
    base: Uri,
    /// What it last said of its health, and when.
    health: Mutex<Option<(NodeHealth, Instant)>>,
}

/// The configured nodes in the operator's order.
pub(super) struct Nodes {
    all: Vec<Node>,
    current: AtomicUsize,
    /// When a node last said that it is healthy; none after a failure.
    healthy: Mutex<Option<Instant>>,
    /// When each node, by its place, last left what it was to make in the dark.
    distrusted: Mutex<HashMap<usize, Instant>>,
    /// The cluster of the first node that answered.
    cluster: OnceLock<String>,
}

/// How a node does, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
pub enum Health {
    /// It serves.
    #[strum(serialize = "active")]
    Active,
    /// It hands requests on to the active node.
    #[strum(serialize = "standby")]
    Standby,
    /// A disaster-recovery secondary: it serves nothing.
    #[strum(serialize = "a disaster-recovery secondary")]
    DisasterRecovery,
    /// A performance standby: it cannot make tokens itself.
    #[strum(serialize = "a performance standby")]
    PerformanceStandby,
    /// Nobody has initialised it.
    #[strum(serialize = "not initialised")]
    NotInitialised,
    /// It is sealed.
    #[strum(serialize = "sealed")]
    Sealed,
    /// It belongs to another cluster, where our tokens are worth nothing.
    #[strum(serialize = "a node of another cluster")]
    OtherCluster,
    /// It says something that `sys/health` never says, with this status.
    #[strum(serialize = "not giving its health (status {0})")]
    Unknown(u16),
    /// It says more than anybody would read.
    #[strum(serialize = "giving an answer that is far too long")]
    Unreadable,
    /// It cannot be reached.
    #[strum(serialize = "not reachable: {0}")]
    Unreachable(ConnectionFault),
}

/// The body of `sys/health`. Somebody between, such as a load balancer, may
/// answer with one of Vault's status codes and without this.
#[derive(Debug, Deserialize)]
pub(in crate::vault) struct HealthBody {
    /// In every answer of Vault's; its value stands in the status too.
    #[serde(rename = "initialized")]
    _initialised: bool,
    /// Missing while it is sealed.
    #[serde(default)]
    pub(in crate::vault) cluster_id: Option<String>,
    /// Seconds since 1970 by the server's clock.
    #[serde(default)]
    pub(in crate::vault) server_time_utc: Option<i64>,
    #[serde(default)]
    pub(in crate::vault) version: Option<String>,
}

impl Health {
    /// What the status of `sys/health` means.
    pub(super) fn of(status: u16) -> Self {
        match status {
            200 => Self::Active,
            429 => Self::Standby,
            472 => Self::DisasterRecovery,
            473 => Self::PerformanceStandby,
            501 => Self::NotInitialised,
            503 => Self::Sealed,
            other => Self::Unknown(other),
        }
    }

    /// Whether an attempt may start there.
    pub fn serves(self) -> bool {
        matches!(self, Self::Active | Self::Standby)
    }
}

impl Node {
    fn new(address: &VaultAddress) -> Result<Self, VaultError> {
        let base = format!("{address}/v1/").parse();
        Ok(Self {
            address: address.to_string(),
            base: base.map_err(|_| VaultError::Settings {
                fault: format!("nothing can be sent to `{address}`"),
            })?,
            health: Mutex::new(None),
        })
    }

    /// What is asked there, with these very characters.
    pub(super) fn uri(&self, path: &str, query: Option<&str>) -> Result<Uri, http::Error> {
        let mut target = format!("{}{path}", self.base.path());
        if let Some(query) = query {
            target.push('?');
            target.push_str(query);
        }
        let mut parts = self.base.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::from_maybe_shared(Bytes::from(target))?);
        Ok(Uri::from_parts(parts)?)
    }

    /// Keeps what it said of its health.
    pub(super) fn note(&self, health: &NodeHealth) {
        *self.health.lock() = Some((health.clone(), Instant::now()));
    }

    /// What it last said of its health, and how long ago.
    pub(super) fn last_health(&self) -> Option<(NodeHealth, Duration)> {
        let health = self.health.lock();
        health
            .as_ref()
            .map(|(health, seen)| (health.clone(), seen.elapsed()))
    }
}

impl Nodes {
    pub(super) fn new(addresses: &Addresses) -> Result<Self, VaultError> {
        Ok(Self {
            all: addresses.iter().map(Node::new).collect::<Result<_, _>>()?,
            current: AtomicUsize::new(0),
            healthy: Mutex::new(None),
            distrusted: Mutex::default(),
            cluster: OnceLock::new(),
        })
    }

    pub(super) fn all(&self) -> &[Node] {
        &self.all
    }

    /// The place of the node to ask.
    pub(super) fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed) % self.all.len()
    }

    /// From now on this one is asked.
    pub(super) fn prefer(&self, place: usize) {
        if self.current.swap(place, Ordering::Relaxed) != place
            && let Some(node) = self.all.get(place)
        {
            tracing::warn!(address = node.address, "vault is asked at another node now");
        }
    }

    /// Whether a node was found healthy a moment ago.
    pub(super) fn is_fresh(&self) -> bool {
        self.healthy
            .lock()
            .is_some_and(|seen| seen.elapsed() < FRESH)
    }

    pub(super) fn found_healthy(&self) {
        *self.healthy.lock() = Some(Instant::now());
    }

    /// The next attempt asks for health again.
    pub(super) fn found_failing(&self) {
        *self.healthy.lock() = None;
    }

    /// This one left something in the dark, whatever it says of its health.
    pub(super) fn distrust(&self, place: usize) {
        self.distrusted.lock().insert(place, Instant::now());
    }

    /// The nodes with their places in the order in which they are asked how
    /// they do: the operator's, and who is not trusted last, the latest of them
    /// at the end.
    pub(super) fn in_order(&self) -> Vec<(usize, &Node)> {
        let distrusted = self.distrusted.lock();
        let since = |place: &usize| {
            let since = distrusted.get(place);
            since.filter(|since| since.elapsed() < DISTRUSTED)
        };
        let mut order: Vec<_> = self.all.iter().enumerate().collect();
        order.sort_by_key(|(place, _)| since(place).copied());
        order
    }

    /// The id of that cluster, once it is known.
    pub(super) fn cluster(&self) -> Option<&str> {
        self.cluster.get().map(String::as_str)
    }

    /// Whether a node belongs to the cluster that was met first. Tokens of
    /// another one would be unknown there, and so taken for revoked.
    pub(super) fn same_cluster(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.cluster.get_or_init(|| id.to_owned()) == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_active_and_standby_serve() {
        let serving: Vec<u16> = [200, 204, 302, 429, 472, 473, 500, 501, 503]
            .into_iter()
            .filter(|status| Health::of(*status).serves())
            .collect();
        assert_eq!(serving, [200, 429]);
    }

    #[test]
    fn what_is_asked_is_sent_as_it_is() {
        let of = |address: &str| {
            let address = VaultAddress::try_from(address.to_owned()).expect("an address");
            Node::new(&address).expect("a node")
        };
        let plain = of("http://127.0.0.1:8200");
        let uri = plain.uri("sys/health", None).expect("an address");
        assert_eq!(uri, "http://127.0.0.1:8200/v1/sys/health");
        let within = of("https://[::1]/a/vault/");
        let uri = within.uri("kv/data/a", Some("version=2"));
        assert_eq!(
            uri.expect("an address"),
            "https://[::1]/a/vault/v1/kv/data/a?version=2"
        );
        let user = within.uri("auth/ldap/login/ada@example.com", None);
        assert!(
            user.expect("an address")
                .path()
                .ends_with("/ada@example.com")
        );
        assert!(plain.uri("a b", None).is_err());
    }

    #[test]
    fn the_node_that_nobody_has_a_doubt_of_comes_first() {
        let addresses = [1, 2, 3].map(|port| format!("http://127.0.0.1:{port}"));
        let nodes =
            Nodes::new(&Addresses::try_from(addresses.to_vec()).expect("fine")).expect("fine");
        let order = || {
            let order = nodes.in_order().into_iter();
            order.map(|(place, _)| place).collect::<Vec<_>>()
        };
        assert_eq!(order(), [0, 1, 2]);
        nodes.distrust(0);
        assert_eq!(order(), [1, 2, 0]);
        nodes.distrust(1);
        assert_eq!(order(), [2, 0, 1]);
        nodes.distrust(0);
        assert_eq!(order(), [2, 1, 0]);
    }

    #[test]
    fn a_cluster_is_known_by_the_first_id() {
        let addresses = Addresses::try_from(vec!["http://127.0.0.1:1".to_owned()]).expect("fine");
        let nodes = Nodes::new(&addresses).expect("fine");
        assert!(nodes.same_cluster(None));
        assert!(nodes.same_cluster(Some("a")));
        assert!(nodes.same_cluster(Some("a")));
        assert!(!nodes.same_cluster(Some("b")));
    }
}

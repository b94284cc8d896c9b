//! Asking the nodes how they do.

use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Request};
use http_body_util::Full;
use jiff::Timestamp;
use tracing::Instrument as _;

use super::clock::date;
use super::nodes::{Health, HealthBody, Node};
use super::transport::{Client, NAMESPACE};
use super::{Reply, spans};
use crate::vault::VaultError;
use crate::vault::error::Operation;
use crate::vault::stats::{NodeStats, RequestOutcome};

/// Where a node says how it does.
const HEALTH: &str = "sys/health";

/// What one node says of itself.
#[derive(Debug, Clone)]
pub struct NodeHealth {
    /// Its configured address.
    pub address: String,
    /// How it does.
    pub health: Health,
    /// The server's version.
    pub version: Option<String>,
    /// The server's clock in seconds since 1970.
    pub clock: Option<i64>,
    /// When its answer arrived.
    pub answered: Option<Instant>,
}

impl Client {
    /// Makes sure that some node can carry an attempt: the first in the operator's order
    /// that can, those without trust last. Asks nobody when one was found healthy a moment ago.
    pub(in crate::vault) async fn require_healthy(&self) -> Result<(), VaultError> {
        if self.nodes.is_fresh() {
            return Ok(());
        }
        let deadline = Instant::now() + self.timeout;
        let nodes = self.nodes.in_order();
        let mut seen = Vec::new();
        for (asked, (place, node)) in nodes.iter().copied().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let to_ask = u32::try_from(nodes.len() - asked).unwrap_or(u32::MAX);
            let found = self.health_of(node, left / to_ask).await;
            if found.health.serves() {
                self.nodes.prefer(place);
                self.nodes.found_healthy();
                return Ok(());
            }
            seen.push(found);
        }
        match &seen[..] {
            [only] => Err(only.as_error()),
            several => {
                let told: Vec<_> = several
                    .iter()
                    .map(|node| format!("{} is {}", node.address, node.health))
                    .collect();
                Err(VaultError::NoNode {
                    nodes: told.join(", "),
                })
            }
        }
    }

    /// What is known of each node, in their order.
    pub(in crate::vault) fn node_stats(&self) -> Vec<NodeStats> {
        let current = self.nodes.current();
        let nodes = self.nodes.all().iter().enumerate();
        nodes
            .map(|(place, node)| NodeStats {
                address: node.address.clone(),
                is_current: place == current,
                health: node.last_health(),
            })
            .collect()
    }

    /// Vault's time; asks a node when no answer has told it yet. None when
    /// nobody tells it.
    pub(in crate::vault) async fn time(&self) -> Option<Timestamp> {
        if let (None, Some(node)) = (self.clock.now(), self.nodes.all().get(self.nodes.current())) {
            self.health_of(node, self.timeout).await;
        }
        self.clock.now()
    }

    /// Vault's time, when an answer has told it.
    pub(in crate::vault) fn time_if_known(&self) -> Option<Timestamp> {
        self.clock.now()
    }

    /// The id of the cluster, when a node has told it.
    pub(in crate::vault) fn cluster_if_known(&self) -> Option<&str> {
        self.nodes.cluster()
    }

    /// The id of the cluster; asks the nodes when none has told it yet. None
    /// when nobody tells it.
    pub(in crate::vault) async fn cluster(&self) -> Option<&str> {
        if self.nodes.cluster().is_none() {
            self.health_of_all(self.timeout).await;
        }
        self.nodes.cluster()
    }

    /// Asks one node, and whether it belongs to the cluster.
    pub(super) async fn health_of(&self, node: &Node, limit: Duration) -> NodeHealth {
        let (mut found, cluster) = self.ask_health(node, limit).await;
        self.place_in_cluster(&mut found, cluster.as_deref());
        node.note(&found);
        found
    }

    /// Asks every node at once; the first one that answers, in their order,
    /// says which cluster it is.
    pub(in crate::vault) async fn health_of_all(&self, limit: Duration) -> Vec<NodeHealth> {
        let asked = self
            .nodes
            .all()
            .iter()
            .map(|node| self.ask_health(node, limit));
        let mut all = Vec::new();
        let answers = futures_util::future::join_all(asked).await;
        for (node, (mut found, cluster)) in self.nodes.all().iter().zip(answers) {
            self.place_in_cluster(&mut found, cluster.as_deref());
            node.note(&found);
            all.push(found);
        }
        all
    }

    fn place_in_cluster(&self, found: &mut NodeHealth, cluster: Option<&str>) {
        if found.health.serves() && !self.nodes.same_cluster(cluster) {
            found.health = Health::OtherCluster;
        }
    }

    /// One question to one node, counted and traced. `sys/health` takes no token,
    /// and no namespace.
    async fn get_health(
        &self,
        node: &Node,
        limit: Duration,
    ) -> Result<(Reply, HeaderMap), VaultError> {
        let mut headers = self.headers.clone();
        headers.remove(&NAMESPACE);
        let operation = Operation::Health;
        let mut request = Request::new(Full::default());
        *request.uri_mut() = (node.uri(HEALTH, None)).map_err(|_| VaultError::Protocol {
            operation,
            fault: "the path of the request cannot be sent",
        })?;
        *request.headers_mut() = headers;
        let asking = self.answer(node, operation, HEALTH, request, limit);
        let asked = self.counters.ask(operation);
        let span = spans::request(operation, &Method::GET, HEALTH, node);
        let answer = asking.instrument(span.clone()).await;
        let outcome = match &answer {
            Ok((reply, _)) if Health::of(reply.status()).serves() => RequestOutcome::Ok,
            Ok(_) => RequestOutcome::Unavailable,
            Err(error) => RequestOutcome::of_failure(error),
        };
        asked.ended(outcome);
        spans::answered(&span, answer.as_ref().ok().map(|(reply, _)| reply), outcome);
        answer
    }

    /// What a node says of itself, and the cluster's id.
    async fn ask_health(&self, node: &Node, limit: Duration) -> (NodeHealth, Option<String>) {
        let mut cluster = None;
        let mut found = NodeHealth {
            address: node.address.clone(),
            health: Health::Unreadable,
            version: None,
            clock: None,
            answered: None,
        };
        match self.get_health(node, limit).await {
            Ok((reply, headers)) => {
                found.clock = date(&headers).map(Timestamp::as_second);
                found.answered = Some(Instant::now());
                let Ok(body) = serde_json::from_slice::<HealthBody>(&reply.body) else {
                    found.health = Health::Unknown(reply.status());
                    return (found, None);
                };
                // The time of something before Vault is nobody's.
                self.clock.note(&headers);
                found.health = Health::of(reply.status());
                found.clock = body.server_time_utc.or(found.clock);
                found.version = body.version;
                cluster = body.cluster_id;
            }
            Err(VaultError::Unreachable { fault, .. }) => found.health = Health::Unreachable(fault),
            Err(_) => {}
        }
        (found, cluster)
    }
}

impl NodeHealth {
    /// As the only node's failure.
    fn as_error(&self) -> VaultError {
        let address = self.address.clone();
        match self.health {
            Health::Sealed => VaultError::Sealed { address },
            Health::NotInitialised => VaultError::NotInitialised { address },
            Health::Unreachable(fault) => VaultError::Unreachable {
                address,
                fault,
                // Nothing that makes something was.
                maybe_sent: false,
            },
            _ => VaultError::NoNode {
                nodes: format!("{address} is {}", self.health),
            },
        }
    }
}

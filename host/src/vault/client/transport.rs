//! Sending, and sending again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::clock::ServerClock;
use super::connections::Connections;
use super::nodes::Nodes;
use super::waits::Waits;
use super::{Call, Reply};
use crate::secret::Secret;
use crate::vault::error::ConnectionFault;
use crate::vault::stats::Counters;
use crate::vault::{VaultConfig, VaultError};

/// The shortest time for one of several nodes, so that a slow one is not given
/// up at once.
const MIN_SHARE: Duration = Duration::from_secs(1);

pub(super) static NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Agents and proxies that guard against request forgery demand it.
static REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// A connection pool to one cluster. It holds no token.
pub(in crate::vault) struct Client {
    pub(super) connections: Connections,
    pub(super) nodes: Arc<Nodes>,
    pub(super) clock: Arc<ServerClock>,
    pub(super) counters: Arc<Counters>,
    pub(super) headers: HeaderMap,
    pub(super) timeout: Duration,
}

/// Whether a request may be sent again when it is not known what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// It makes something.
    Never,
    /// It changes nothing, or nothing more the second time.
    Harmless,
}

impl Client {
    /// Prepares a pool; connects to nothing.
    pub(in crate::vault) fn new(config: &VaultConfig) -> Result<Self, VaultError> {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST.clone(), HeaderValue::from_static("true"));
        if let Some(namespace) = &config.namespace {
            let value =
                HeaderValue::from_str(namespace.as_str()).map_err(|_| VaultError::Settings {
                    fault: "`namespace` cannot be sent".to_owned(),
                })?;
            headers.insert(NAMESPACE.clone(), value);
        }
        Ok(Self {
            connections: Connections::new(config)?,
            nodes: Arc::new(Nodes::new(&config.addresses)?),
            clock: Arc::new(ServerClock::new()),
            counters: Arc::default(),
            headers,
            timeout: config.timeout,
        })
    }

    /// The same cluster over connections of its own, which are opened anew.
    pub(in crate::vault) fn with_new_connections(
        &self,
        config: &VaultConfig,
    ) -> Result<Self, VaultError> {
        Ok(Self {
            connections: Connections::new(config)?,
            nodes: Arc::clone(&self.nodes),
            clock: Arc::clone(&self.clock),
            counters: Arc::clone(&self.counters),
            headers: self.headers.clone(),
            timeout: self.timeout,
        })
    }

    /// What it counts.
    pub(in crate::vault) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// The time for one call, all repetitions included.
    pub(in crate::vault) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// One exchange, whatever its status. Repeated only when it certainly did
    /// nothing: at another node, after a rate limit turned it away, and on a new
    /// connection when a kept one closed before anything of it was sent. Within
    /// `timeout` of `[vault]` in all.
    pub(in crate::vault) async fn send(
        &self,
        call: &Call,
        token: Option<&Secret>,
    ) -> Result<Reply, VaultError> {
        let deadline = Instant::now() + self.timeout;
        self.send_until(call, token, deadline).await
    }

    /// The same, and before the deadline.
    pub(in crate::vault) async fn send_until(
        &self,
        call: &Call,
        token: Option<&Secret>,
        deadline: Instant,
    ) -> Result<Reply, VaultError> {
        let mut waits = Waits::until(deadline.min(Instant::now() + self.timeout));
        loop {
            let reply = self
                .exchange(call, token, waits.left(), Repeat::Never)
                .await?;
            if !reply.is_turned_away() {
                return Ok(reply);
            }
            let Some(pause) = waits.next(reply.retry_after) else {
                return Ok(reply);
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// One exchange within a time shorter than the configured one, for what
    /// may be asked twice: lookups and revocations.
    pub(in crate::vault) async fn send_within(
        &self,
        call: &Call,
        token: &Secret,
        limit: Duration,
    ) -> Result<Reply, VaultError> {
        self.exchange(call, Some(token), self.timeout.min(limit), Repeat::Harmless)
            .await
    }

    /// A request that changes nothing, repeated while Vault could not serve
    /// it. All tries and waits together take `timeout` of `[vault]` at most,
    /// and end before the deadline.
    pub(in crate::vault) async fn send_idempotent(
        &self,
        call: &Call,
        token: &Secret,
        deadline: Instant,
    ) -> Result<Reply, VaultError> {
        let mut waits = Waits::until(deadline.min(Instant::now() + self.timeout));
        loop {
            let result = self
                .exchange(call, Some(token), waits.left(), Repeat::Harmless)
                .await;
            let asked = match &result {
                Ok(reply) => match reply.again() {
                    Some(asked) => asked,
                    None => return result,
                },
                Err(VaultError::Unreachable {
                    fault: ConnectionFault::Broken | ConnectionFault::Refused,
                    ..
                }) => None,
                Err(_) => return result,
            };
            let Some(pause) = waits.next(asked) else {
                return result;
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// One exchange with the current node, or with the next ones when it
    /// cannot serve. Within `limit` in all.
    async fn exchange(
        &self,
        call: &Call,
        token: Option<&Secret>,
        limit: Duration,
        repeat: Repeat,
    ) -> Result<Reply, VaultError> {
        let nodes = self.nodes.all();
        if let [only] = nodes {
            let result = self.one(only, call, token, limit).await;
            if matches!(result, Err(VaultError::Unreachable { .. })) {
                self.nodes.found_failing();
            }
            return result;
        }
        let deadline = Instant::now() + limit;
        let left = || deadline.saturating_duration_since(Instant::now());
        let first = self.nodes.current();
        let mut result = None;
        let in_turn = nodes.iter().enumerate().cycle().skip(first);
        for (step, (place, node)) in in_turn.take(nodes.len()).enumerate() {
            let last = step + 1 == nodes.len();
            // The first is taken at its word, the others are asked before.
            if step > 0 {
                let share = (left() / 2).max(MIN_SHARE).min(left());
                if !self.health_of(node, share).await.health.serves() {
                    continue;
                }
            }
            // What makes something gets the whole time: giving it up early
            // would leave more tokens in flight.
            let share = match repeat {
                Repeat::Harmless if !last => (left() / 2).max(MIN_SHARE).min(left()),
                _ => left(),
            };
            let answer = self.one(node, call, token, share).await;
            let (useless, may_go_on) = match &answer {
                Ok(reply) if reply.elsewhere() => (true, true),
                // Perhaps from something that stands before the node, and then
                // nobody knows what the node did.
                Ok(reply) if reply.cannot_serve() => (true, repeat == Repeat::Harmless),
                Err(VaultError::Unreachable { maybe_sent, .. }) => {
                    (true, !maybe_sent || repeat == Repeat::Harmless)
                }
                _ => (false, false),
            };
            if !useless {
                self.nodes.prefer(place);
                return answer;
            }
            self.nodes.found_failing();
            let by_gateway = matches!(&answer, Ok(reply) if reply.cannot_serve());
            result.get_or_insert(answer);
            if !may_go_on {
                // Whoever comes next asks another one first. One that was only
                // slow (an engine behind it may be) is asked again.
                if by_gateway {
                    self.nodes.distrust(place);
                }
                self.nodes.prefer((place + 1) % nodes.len());
                break;
            }
        }
        // At least the first was asked.
        result.unwrap_or(Err(VaultError::Closed))
    }
}

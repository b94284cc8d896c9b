//! What everything that talks to Vault in this process shares.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::auth::Method;
use super::client::Client;
use super::identity::{Clock, Signer};
use super::journal::{AuthorityKind, Intent, Journal};
use super::logins::Logins;
use super::openings::Openings;
use super::reads::Reads;
use super::stats::Counters;
use super::turns::Turns;
use super::{VaultConfig, VaultError};
use crate::lock::Mutex as BlockingMutex;

/// What two clocks that count whole seconds may differ by.
const SECONDS: Duration = Duration::from_secs(2);

/// The one connection pool, the journal, and the log-ins of this process.
pub(super) struct Shared {
    pub(super) config: VaultConfig,
    pub(super) client: Client,
    pub(super) journal: Journal,
    pub(super) logins: Mutex<Logins>,
    /// What attempts share of what they read.
    pub(super) reads: Reads,
    /// Vouches for attempts that log in as themselves.
    pub(super) signer: Option<Signer>,
    /// True once this process swept, or began to.
    pub(super) swept: AtomicBool,
    /// The sweep that the first attempt started.
    pub(super) sweeping: BlockingMutex<Option<JoinHandle<()>>>,
    /// Authorities that nobody waits for any more.
    pub(super) openings: Openings,
    /// Attempts that end at the same time.
    pub(super) turns: Turns,
    /// The same as the client's.
    pub(super) counters: Arc<Counters>,
}

impl Shared {
    pub(super) fn new(config: VaultConfig, state: &Path, clock: Clock) -> Result<Self, VaultError> {
        let identity = config.identity.clone();
        let client = Client::new(&config)?;
        Ok(Self {
            signer: identity.map(|identity| Signer::new(identity, state, clock)),
            counters: Arc::clone(client.counters()),
            client,
            journal: Journal::new(state),
            logins: Mutex::new(Logins::new(Method::new(&config))),
            reads: Reads::default(),
            swept: AtomicBool::new(false),
            sweeping: BlockingMutex::new(None),
            openings: Openings::default(),
            turns: Turns::new(),
            config,
        })
    }

    /// What the journal says before a token is asked for.
    pub(super) fn intent(
        &self,
        kind: AuthorityKind,
        id: String,
        task: Option<String>,
        lives_at_most: Duration,
    ) -> Intent {
        Intent::new(
            kind,
            id,
            task,
            self.config.addresses.first().to_string(),
            self.config.namespace.as_ref().map(ToString::to_string),
            // Whoever told Vault's health to us told its time too. Without
            // that question the first intent has this host's own.
            self.client.time_if_known().unwrap_or_else(Timestamp::now),
            // The request may be as long on its way.
            lives_at_most + self.config.timeout + SECONDS,
        )
        .in_cluster(self.client.cluster_if_known())
    }

    /// Whether an entry of the journal is about this server, by its address.
    pub(super) fn is_ours(&self, intent: &Intent) -> bool {
        // The order of the nodes may have changed since.
        self.config
            .addresses
            .iter()
            .any(|address| intent.server == address.to_string())
            && intent.namespace.as_deref() == self.config.namespace.as_ref().map(|n| n.as_str())
    }

    /// Whether an entry is certainly about another cluster than the one that
    /// answers now: there every accessor of it would be unknown, and so taken
    /// for dead.
    pub(super) async fn is_of_another_cluster(&self, intent: &Intent) -> bool {
        let Some(theirs) = intent.cluster.as_deref() else {
            return false;
        };
        // Who keeps `sys/health` to himself is taken by the address alone.
        (self.client.cluster().await).is_some_and(|ours| ours != theirs)
    }
}

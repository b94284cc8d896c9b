//! The service without its wire: runs are submitted, looked at, cancelled.

mod admission;
mod carry;
mod look;
mod upkeep;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio_util::task::TaskTracker;

use super::access::{Access, Peer};
use super::budget::{Bounds, Budget, Share, TooMuch};
use super::catalogue::Catalogue;
use super::error::ServeError;
use super::groups::Groups;
use super::metrics::Metrics;
use super::queue::{Load, Queue};
use super::refused::Refused;
use super::registry::Registry;
use super::settings::{Settings, places};
use super::store::{Claim, Store, StoreError};
use super::tcp::Tcp;
use super::token::Tokens;
use super::watch::Watched;
use crate::api::ProblemKind;
use crate::config::{HostConfig, ServerConfig, ServerLimits};
use crate::lock::Mutex;
use crate::priority::on_the_pool;
use crate::run::{Canceller, Runner};
use upkeep::Left;

pub(super) use look::Log;

/// The service. Clones share it.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    runner: Runner,
    file: PathBuf,
    store: Store,
    queue: Queue,
    settings: ArcSwap<Settings>,
    registry: Mutex<Registry>,
    /// The runs under way, each a task of its own.
    carried: TaskTracker,
    draining: AtomicBool,
    watched: Watched,
    metrics: Metrics,
    groups: Groups,
    /// Bodies, and inputs of runs that are not over.
    inputs: Budget,
    /// Answers that are not read.
    answers: Budget,
    begun: Timestamp,
}

impl Service {
    /// Loads the tasks and finds what an earlier service left: runs that it
    /// lost, and results. Contacts Vault only when there is something to sweep.
    ///
    /// # Errors
    /// [`ServeError`] names what cannot be used. A task whose grants or
    /// component are broken is no reason not to serve the others.
    pub async fn start(config: HostConfig, file: PathBuf) -> Result<Self, ServeError> {
        let access = Access::new(&config.server)?;
        let runner = Runner::new(config)?;
        let claim = Claim::new(&runner.config().state)?;
        // First: neither a large store nor tasks to be compiled keep alive what was left.
        let left = Left::sweep(&runner).await;
        match Self::open(runner.clone(), file, access, claim, &left).await {
            Ok(service) => Ok(service),
            Err(error) => {
                // The sweep may have logged in.
                shut(runner).await;
                Err(error)
            }
        }
    }

    async fn open(
        runner: Runner,
        file: PathBuf,
        access: Access,
        claim: Claim,
        left: &Left,
    ) -> Result<Self, ServeError> {
        let config = runner.config();
        let (server, engine) = (config.server.clone(), config.engine);
        let vault = runner.vault().cloned();
        let earlier = runner.clone();
        let opened = tokio::task::spawn_blocking(move || {
            // Ends that an earlier service told may be in neither; the audit first.
            if let Err(error) = earlier.sync_earlier() {
                tracing::warn!(%error, "what an earlier service wrote to the audit may not be on the disk");
            }
            Store::open(claim)
        });
        let store = opened.await.unwrap_or(Err(StoreError::Stopped))?;
        let (catalogue, broken) = Catalogue::load(&runner).await?;
        for one in &broken {
            tracing::error!(problem = %one.problem, "a task cannot be used");
        }
        runner.note_grants(catalogue.sources())?;
        let service = Self(Arc::new(Inner {
            queue: Queue::new(places(&server.limits, &engine)),
            settings: ArcSwap::from_pointee(Settings::new(&server, access, catalogue, None)),
            runner,
            file,
            store,
            registry: Mutex::default(),
            carried: TaskTracker::new(),
            draining: AtomicBool::new(false),
            watched: Watched::default(),
            metrics: Metrics::new(vault),
            groups: Groups::default(),
            inputs: Budget::default(),
            answers: Budget::default(),
            begun: Timestamp::now(),
        }));
        service.recover(left).await?;
        // Only now: an issuer that is away must not keep what was left alive.
        service.open_tcp(&server).await?;
        Ok(service)
    }

    /// Reads what `[server.tcp]` names, for the first time.
    async fn open_tcp(&self, server: &ServerConfig) -> Result<(), ServeError> {
        if let Some(tcp) = &server.tcp {
            let tcp = Tcp::load(tcp, None).await?;
            self.0.settings.load().tcp.store(Some(Arc::new(tcp)));
        }
        Ok(())
    }

    /// Reads configuration and grants again, and puts them into effect for
    /// runs that are submitted from now on: all of them or, when something is
    /// wrong, none.
    ///
    /// # Errors
    /// What is wrong; everything is as before then.
    pub async fn reload(&self) -> Result<(), ServeError> {
        let inner = &*self.0;
        let config = HostConfig::load(&inner.file)?;
        let now = inner.runner.config();
        let fixed = [
            ("[paths]", now.same_paths(&config)),
            ("[vault]", now.vault == config.vault),
            ("[engine]", now.engine == config.engine),
            ("[telemetry]", now.telemetry == config.telemetry),
            ("server.socket", now.server.socket == config.server.socket),
            (
                "server.tcp.listen",
                listens(&now.server) == listens(&config.server),
            ),
        ];
        if let Some((what, _)) = fixed.iter().find(|(_, same)| !same) {
            return Err(ServeError::NeedsRestart { what });
        }
        let access = Access::new(&config.server)?;
        let tcp = match &config.server.tcp {
            Some(tcp) => Some(Tcp::load(tcp, self.tcp().as_deref()).await?),
            None => None,
        };
        let (catalogue, broken) = Catalogue::load(&inner.runner).await?;
        if !broken.is_empty() {
            let problems = broken.into_iter().map(|one| one.problem).collect();
            return Err(ServeError::Tasks { problems });
        }
        inner.runner.note_grants(catalogue.sources())?;
        let settings = Settings::new(&config.server, access, catalogue, tcp);
        inner
            .queue
            .set(places(&config.server.limits, &config.engine));
        inner.settings.store(Arc::new(settings));
        // Otherwise each deployment would take memory for good. What a run has that is under
        // way stays; the next reload forgets it.
        inner.runner.forget_unused();
        self.shut_out();
        Ok(())
    }

    /// Cancels the runs, waiting or under way, that their callers may not run any
    /// more.
    fn shut_out(&self) {
        let settings = self.0.settings.load();
        let under_way = self.0.registry.lock().all_live();
        for live in under_way {
            if !settings.access.may_run(&live.peer, &live.task) {
                tracing::warn!(run = %live.run, "a run is cancelled: its caller may not run it any more");
                live.cancel.ask(Canceller::Access);
            }
        }
    }

    /// Whether this caller may talk to the service at all.
    pub(super) fn knows(&self, peer: &Peer) -> bool {
        self.0.settings.load().access.knows(peer)
    }

    /// Whether this caller may read the service's numbers.
    pub(super) fn may_read_metrics(&self, peer: &Peer) -> bool {
        self.0.settings.load().access.may_read_metrics(peer)
    }

    /// The limits that are in effect.
    pub(super) fn limits(&self) -> ServerLimits {
        self.0.settings.load().limits
    }

    /// What `[server.tcp]` names, as it was read last.
    pub(super) fn tcp(&self) -> Option<Arc<Tcp>> {
        self.0.settings.load().tcp.load_full()
    }

    /// Whose tokens are taken; none when none is.
    pub(super) fn tokens(&self) -> Option<Arc<Tokens>> {
        self.tcp().and_then(|tcp| tcp.tokens.clone())
    }

    /// How long runs go on once the service ends.
    pub(super) fn drain_time(&self) -> Duration {
        self.0.settings.load().drain
    }

    /// Memory for a body of so many bytes, or for as many as one may have.
    pub(super) fn room_for_body(
        &self,
        peer: &Peer,
        announced: Option<usize>,
    ) -> Result<Share, Refused> {
        let limits = self.limits();
        let bytes = announced.unwrap_or(limits.body).min(limits.body);
        self.room(&self.0.inputs, peer, bytes)
    }

    /// Memory for an answer of so many bytes, until it is read.
    pub(super) fn room_for_answer(&self, peer: &Peer, bytes: usize) -> Result<Share, Refused> {
        self.room(&self.0.answers, peer, bytes)
    }

    fn room(&self, budget: &Budget, peer: &Peer, bytes: usize) -> Result<Share, Refused> {
        let limits = self.limits();
        let bounds = Bounds {
            all: limits.memory.max(limits.body),
            of_one: limits.memory_per_caller.max(limits.body),
        };
        budget.take(&peer.owner, bytes, bounds).map_err(|bound| {
            self.0.metrics.limited(match bound {
                TooMuch::InAll => "memory",
                TooMuch::OfOne => "memory_per_caller",
            });
            Refused::new(
                ProblemKind::TooManyRequests,
                "more memory than `server.limits` lets callers have at once",
            )
            .hint("wait for runs that are under way, and read answers")
            .retry_after(1)
        })
    }

    /// What is known of the things that the service depends on.
    pub(super) fn watched(&self) -> &Watched {
        &self.0.watched
    }

    /// The groups of a user of this machine.
    pub(super) async fn groups_of(&self, uid: u32) -> Arc<[u32]> {
        self.0.groups.of(uid).await
    }

    /// The service's numbers.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The queue, and the runs that are kept, in numbers.
    pub(super) fn load(&self) -> (Load, usize) {
        (self.0.queue.load(), self.0.registry.lock().kept())
    }

    /// Since when the service has been up.
    pub(super) fn begun(&self) -> Timestamp {
        self.0.begun
    }

    /// Whether it takes no more runs because it is ending.
    pub(super) fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// Takes no more runs; those under way go on until `patience` is over and
    /// are then cancelled. Returns when all are over.
    pub(super) async fn drain(&self, patience: impl Future<Output = ()>) {
        let inner = &*self.0;
        {
            // What was taken before holds its place among those that are waited for.
            let _registry = inner.registry.lock();
            inner.draining.store(true, Ordering::Relaxed);
        }
        inner.carried.close();
        tokio::select! {
            () = inner.carried.wait() => return,
            () = patience => (),
        }
        let live = inner.registry.lock().all_live();
        tracing::warn!(
            runs = live.len(),
            "the time to drain is over: runs are cancelled"
        );
        for run in live {
            run.cancel.ask(Canceller::Service);
        }
        // Each ends within its grace period and the time of its revocation.
        inner.carried.wait().await;
    }

    /// Ends the service's log-in, and has the disk take what it was not asked for yet. No
    /// run is under way any more.
    pub(super) async fn close(self) {
        let runner = &self.0.runner;
        // First: a disk that hangs keeps no credential alive.
        shut(runner.clone()).await;
        // What was told early; the audit before the results.
        let audit = runner.clone();
        if let Ok(Err(error)) = on_the_pool(move || audit.sync_audit()).await {
            tracing::error!(%error, "the audit's last lines may not be on the disk");
        }
        if let Err(error) = self.0.store.sync().await {
            tracing::error!(%error, "the last results may not be on the disk");
        }
    }
}

async fn shut(runner: Runner) {
    let revocation = runner.shut().await;
    if let Some(revocation) = revocation
        && !revocation.complete
    {
        tracing::warn!(
            reason = revocation.reason.as_deref(),
            "the log-in may still be alive; the next start sweeps it"
        );
    }
}

/// Where a service of this configuration listens beside its socket.
fn listens(config: &ServerConfig) -> Option<SocketAddr> {
    config.tcp.as_ref().map(|tcp| tcp.listen)
}

fn unkept() -> Refused {
    Refused::new(
        ProblemKind::Unavailable,
        "results cannot be kept now, so nothing is begun",
    )
    .hint("the operator has to make room on the disk of the state folder")
    .retry_after(5)
}

//! The service without its wire: runs are submitted, looked at, cancelled.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::access::{Access, Peer};
use super::catalogue::Catalogue;
use super::error::ServeError;
use super::live::{Facts, LiveRun, Phase};
use super::log::RunLog;
use super::metrics::Metrics;
use super::queue::{Full, Queue, Ticket};
use super::refused::Refused;
use super::registry::Registry;
use super::settings::{Settings, places};
use super::store::{KeyHash, Record, Store};
use super::watch::Watched;
use crate::api::{Attempt, LogEntry, ProblemKind, RunView, Submission, TaskView};
use crate::config::HostConfig;
use crate::digest::Digest;
use crate::identity::Assurance;
use crate::name::TaskName;
use crate::run::{PreparedTask, RunReport, RunRequest, Runner};

/// How long the end of a run whose result the disk does not take is tried again.
const KEEP_TRYING: Duration = Duration::from_millis(500);

/// Runs of one answer to `GET /v1/runs`.
const LISTED: usize = 100;

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
    begun: Timestamp,
}

/// A submission that was taken.
pub(super) struct Taken {
    pub(super) run: Uuid,
    /// Its key was known: this is the run of an earlier submission.
    pub(super) replayed: bool,
}

/// What a key led to.
enum Begun {
    /// The run that bears it, with the digest of what was submitted then.
    Known(Uuid, Option<Arc<LiveRun>>, Digest),
    New(Arc<LiveRun>, Ticket),
}

/// A log to be read: one that still grows, or one that is kept.
pub(super) enum Log {
    Live(Arc<RunLog>, Arc<LiveRun>),
    Kept(Vec<LogEntry>, crate::api::RunState),
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
        let server = config.server.clone();
        let engine = config.engine;
        let state = config.state.clone();
        let runner = Runner::new(config)?;
        let vault = runner.vault().cloned();
        let store = Store::open(&state)?;
        let (catalogue, broken) = Catalogue::load(&runner).await?;
        for one in &broken {
            tracing::error!(problem = %one.problem, "a task cannot be used");
        }
        runner.note_grants(catalogue.sources())?;
        let service = Self(Arc::new(Inner {
            queue: Queue::new(places(&server.limits, &engine)),
            settings: ArcSwap::from_pointee(Settings::new(&server, access, catalogue)),
            runner,
            file,
            store,
            registry: Mutex::default(),
            carried: TaskTracker::new(),
            draining: AtomicBool::new(false),
            watched: Watched::default(),
            metrics: Metrics::new(vault),
            begun: Timestamp::now(),
        }));
        if let Err(error) = service.recover().await {
            // The sweep may have logged in.
            service.close().await;
            return Err(error);
        }
        Ok(service)
    }

    /// Takes in what an earlier service left behind.
    async fn recover(&self) -> Result<(), ServeError> {
        let Inner {
            store,
            registry,
            runner,
            ..
        } = &*self.0;
        let mut lost: Vec<(Uuid, Record)> = Vec::new();
        store.each(|run, record| match record.view.ended {
            Some(ended) if record.view.state.is_over() => {
                let keys = (record.key, record.submission);
                registry.lock().found(run, record.owner, keys, ended);
            }
            _ => lost.push((run, record)),
        })?;
        // Whether or not a run is known to be lost: a run that was never
        // written down has no authority, but a log-in may have been left.
        let left = match runner.vault() {
            Some(vault) => match vault.sweep().await {
                Ok(report) => {
                    if let Some(error) = &report.failure {
                        tracing::warn!(%error, "what an earlier service left could not be swept");
                    }
                    let unsettled = report
                        .found
                        .into_iter()
                        .filter(|it| !it.outcome.is_settled());
                    Some(unsettled.map(|it| it.id).collect::<Vec<_>>())
                }
                Err(error) => {
                    tracing::warn!(%error, "what an earlier service left could not be swept");
                    None
                }
            },
            None => Some(Vec::new()),
        };
        for (run, mut record) in lost {
            let swept = (left.as_ref()).is_some_and(|left| !left.contains(&run.to_string()));
            record.view.state = crate::api::RunState::Lost;
            record.view.ended = Some(Timestamp::now());
            record.view.swept = Some(swept);
            runner.note_lost(run, swept).await?;
            store.put(run, &record).await?;
            let keys = (record.key, record.submission);
            (registry.lock()).found(run, record.owner, keys, Timestamp::now());
            self.0.metrics.lost();
            tracing::warn!(%run, swept, "a run was lost with the service that carried it");
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
        ];
        if let Some((what, _)) = fixed.iter().find(|(_, same)| !same) {
            return Err(ServeError::NeedsRestart { what });
        }
        let access = Access::new(&config.server)?;
        let (catalogue, broken) = Catalogue::load(&inner.runner).await?;
        if !broken.is_empty() {
            let problems = broken.into_iter().map(|one| one.problem).collect();
            return Err(ServeError::Tasks { problems });
        }
        inner.runner.note_grants(catalogue.sources())?;
        let settings = Settings::new(&config.server, access, catalogue);
        inner
            .queue
            .set(places(&config.server.limits, &config.engine));
        inner.settings.store(Arc::new(settings));
        Ok(())
    }

    /// Takes a run, and returns once it is written down; it then goes on by
    /// itself.
    pub(super) async fn submit(
        &self,
        peer: &Peer,
        key: &str,
        submission: Submission,
    ) -> Result<Taken, Refused> {
        let inner = &*self.0;
        if self.is_draining() {
            return Err(
                Refused::new(ProblemKind::Unavailable, "the service is ending").retry_after(5),
            );
        }
        let settings = inner.settings.load_full();
        if let Err(seconds) = settings.pace.check(&peer.owner) {
            inner.metrics.limited("submissions_per_second");
            return Err(Refused::new(
                ProblemKind::TooManyRequests,
                "more submissions in a second than `server.limits` lets one caller make",
            )
            .retry_after(seconds));
        }
        let (task, prepared) = find(&settings, peer, &submission.task)?;
        let digest = digest_of(&submission)?;
        let key = KeyHash::of(&peer.owner, key);
        let Submission { attempt, input, .. } = submission;
        let identity = (attempt.check(task.as_str(), Assurance::Claimed))
            .map_err(|error| Refused::new(ProblemKind::Invalid, error.to_string()))?;
        let attempt = Attempt::from(&identity);
        let request = RunRequest::of_json(task.clone(), identity, input).by(peer.caller.clone());
        let facts = Facts {
            run: request.run(),
            owner: peer.owner.clone(),
            key,
            submission: digest,
            task: task.to_string(),
            attempt,
        };
        let (live, ticket) = match self.begin(&task, facts)? {
            Begun::Known(run, live, known) => {
                return self.replay(run, live, known == digest).await;
            }
            Begun::New(live, ticket) => (live, ticket),
        };
        let run = live.run;
        let carried = self
            .clone()
            .carry(Arc::clone(&live), prepared, request, ticket);
        inner.carried.spawn(carried);
        match live.accepted().await {
            true => Ok(Taken {
                run,
                replayed: false,
            }),
            false => Err(unkept()),
        }
    }

    /// Finds the run of a key, or makes it known and takes a place in the queue.
    fn begin(&self, task: &TaskName, facts: Facts) -> Result<Begun, Refused> {
        // One lock for both, so that of a thousand submissions one begins.
        let mut registry = self.0.registry.lock();
        if let Some((run, submission)) = registry.by_key(&facts.key) {
            return Ok(Begun::Known(run, registry.live(run).cloned(), submission));
        }
        let ticket = self.0.queue.enter(&facts.owner, task);
        let ticket = ticket.map_err(|full| self.full(full))?;
        let live = Arc::new(LiveRun::new(facts));
        registry.begin(Arc::clone(&live));
        Ok(Begun::New(live, ticket))
    }

    /// The answer to a submission whose key is known.
    async fn replay(
        &self,
        run: Uuid,
        live: Option<Arc<LiveRun>>,
        is_same: bool,
    ) -> Result<Taken, Refused> {
        if !is_same {
            return Err(Refused::new(
                ProblemKind::KeyReused,
                "the idempotency key names another submission of yours",
            )
            .hint("use a new key for every new run, and the old one only to repeat it"));
        }
        if let Some(live) = live
            && !live.accepted().await
        {
            return Err(unkept());
        }
        Ok(Taken {
            run,
            replayed: true,
        })
    }

    fn full(&self, full: Full) -> Refused {
        let (limit, detail) = match full {
            Full::Caller => ("queue_per_caller", "too many of your runs wait already"),
            Full::Queue => ("queue", "too many runs wait already"),
        };
        self.0.metrics.limited(limit);
        Refused::new(ProblemKind::TooManyRequests, detail).retry_after(1)
    }

    /// One run, from its acceptance to the moment at which its end is kept.
    async fn carry(
        self,
        live: Arc<LiveRun>,
        prepared: PreparedTask,
        request: RunRequest,
        ticket: Ticket,
    ) {
        let inner = &*self.0;
        if let Err(error) = inner.store.put(live.run, &live.record(None)).await {
            inner.watched.store(Err(&error));
            inner.registry.lock().refuse(&live);
            live.moved(Phase::Refused);
            return;
        }
        live.moved(Phase::Queued);
        // Who is cancelled while he waits is reported, and needs no turn for it.
        let turn = tokio::select! {
            biased;
            turn = ticket.turn() => turn,
            () = live.cancel.cancelled() => None,
        };
        live.moved(Phase::Running);
        let running = inner.metrics.begun(request.task());
        let log = Arc::clone(&live.log);
        let cancel = live.cancel.clone();
        let report = (inner.runner)
            .run_prepared(Ok(prepared), request, log, cancel)
            .await;
        drop(turn);
        running.ended(&report);
        self.watch_audit(&report);
        live.over();
        let report: Arc<RawValue> = raw(&report).into();
        let mut record = live.record(Some(report.as_ref().to_owned()));
        let mut is_told = false;
        while let Err(error) = inner.store.put(live.run, &record).await {
            inner.watched.store(Err(&error));
            if !is_told {
                // The work is done: who waits for it need not wait for the disk.
                live.moved(Phase::Ended(Arc::clone(&report)));
                is_told = true;
            }
            if self.is_draining() {
                tracing::error!(run = %live.run, %error, "what became of a run could not be kept; the audit has it");
                break;
            }
            tokio::time::sleep(KEEP_TRYING).await;
            record = live.record(Some(report.as_ref().to_owned()));
        }
        let ended = record.view.ended.unwrap_or_else(Timestamp::now);
        inner.registry.lock().end(&live, ended);
        if !is_told {
            live.moved(Phase::Ended(report));
        }
    }

    /// A chain that takes no more lines is followed by a new one.
    fn watch_audit(&self, report: &RunReport) {
        if report.audit.head.is_none() {
            self.mend();
        }
    }

    /// Sees to it that the audit and the store take something again, and keeps
    /// in mind whether they do.
    fn mend(&self) {
        let mended = self.0.runner.mend_audit();
        self.0.watched.audit(mended.as_ref().copied());
    }

    /// Looks after what changes by itself; to be called once in a second.
    pub(super) async fn tick(&self) {
        self.mend();
        let inner = &*self.0;
        if inner.watched.store_is_failing() {
            let probed = inner.store.probe().await;
            inner.watched.store(probed.as_ref().copied());
        }
        let settings = inner.settings.load_full();
        settings.pace.tidy();
        loop {
            let gone = inner.registry.lock().expire(
                Timestamp::now(),
                settings.results.keep,
                settings.results.most,
                EXPIRED_AT_ONCE,
            );
            if gone.is_empty() {
                break;
            }
            let is_last = gone.len() < EXPIRED_AT_ONCE;
            if let Err(error) = inner.store.forget(gone).await {
                inner.watched.store(Err(&error));
                break;
            }
            if is_last {
                break;
            }
        }
    }

    /// Asks Vault's nodes how they do.
    pub(super) async fn look_at_vault(&self, limit: Duration) {
        if let Some(vault) = self.0.runner.vault() {
            let nodes = vault.health(limit).await;
            self.0.watched.vault(&nodes);
        }
    }

    /// One run of this owner.
    pub(super) fn view(&self, peer: &Peer, run: Uuid) -> Result<RunView, Refused> {
        match self.live_of(peer, run)? {
            Some(live) => Ok(live.view()),
            None => Ok(self.kept_of(peer, run)?.view),
        }
    }

    /// The run under way, if it is this owner's; none when it is over.
    fn live_of(&self, peer: &Peer, run: Uuid) -> Result<Option<Arc<LiveRun>>, Refused> {
        let registry = self.0.registry.lock();
        if let Some(live) = registry.live(run) {
            return match live.owner == peer.owner {
                true => Ok(Some(Arc::clone(live))),
                false => Err(unknown_run()),
            };
        }
        match registry.owner_of_kept(run) {
            Some(owner) if *owner == peer.owner => Ok(None),
            _ => Err(unknown_run()),
        }
    }

    fn kept_of(&self, peer: &Peer, run: Uuid) -> Result<Record, Refused> {
        let record = self.0.store.get(run).map_err(|error| {
            self.0.watched.store(Err(&error));
            unkept()
        })?;
        record
            .filter(|record| record.owner == peer.owner)
            .ok_or_else(unknown_run)
    }

    /// The newest runs of this owner, without their reports.
    pub(super) fn list(&self, peer: &Peer) -> Vec<RunView> {
        let runs = self.0.registry.lock().newest_of(&peer.owner, LISTED);
        let views = runs.into_iter().filter_map(|run| self.view(peer, run).ok());
        views
            .map(|view| RunView {
                report: None,
                ..view
            })
            .collect()
    }

    /// Waits for the end of a run, at most so long; how it is then.
    pub(super) async fn wait(
        &self,
        peer: &Peer,
        run: Uuid,
        most: Duration,
    ) -> Result<RunView, Refused> {
        if let Some(live) = self.live_of(peer, run)? {
            let _ = tokio::time::timeout(most, live.ended()).await;
            return Ok(live.view());
        }
        Ok(self.kept_of(peer, run)?.view)
    }

    /// Cancels a run and waits until its authority is closed. One that is over
    /// stays as it is.
    pub(super) async fn cancel(&self, peer: &Peer, run: Uuid) -> Result<RunView, Refused> {
        if let Some(live) = self.live_of(peer, run)? {
            live.cancel.cancel();
            live.ended().await;
            return Ok(live.view());
        }
        Ok(self.kept_of(peer, run)?.view)
    }

    /// The log of a run.
    pub(super) fn log(&self, peer: &Peer, run: Uuid) -> Result<Log, Refused> {
        if let Some(live) = self.live_of(peer, run)? {
            return Ok(Log::Live(Arc::clone(&live.log), live));
        }
        let record = self.kept_of(peer, run)?;
        let lines = record.log.map(|lines| serde_json::from_str(lines.get()));
        let lines = lines.transpose().map_err(|_| unkept())?;
        Ok(Log::Kept(lines.unwrap_or_default(), record.view.state))
    }

    /// The tasks that this caller may run.
    pub(super) fn tasks(&self, peer: &Peer) -> Vec<TaskView> {
        let settings = self.0.settings.load();
        let may = |name: &TaskName| settings.access.may_run(peer, name);
        let tasks = settings.catalogue.iter().filter(|(name, _)| may(name));
        tasks.map(|(_, task)| task.view.clone()).collect()
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
    pub(super) fn limits(&self) -> crate::config::ServerLimits {
        self.0.settings.load().limits
    }

    /// What is known of the things that the service depends on.
    pub(super) fn watched(&self) -> &Watched {
        &self.0.watched
    }

    /// The service's numbers.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The queue, and the runs that are kept, in numbers.
    pub(super) fn load(&self) -> (super::queue::Load, usize) {
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
        inner.draining.store(true, Ordering::Relaxed);
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
            run.cancel.cancel();
        }
        // Each ends within its grace period and the time of its revocation.
        inner.carried.wait().await;
    }

    /// Ends the service's log-in. No run is under way any more.
    pub(super) async fn close(self) {
        let revocation = self.0.runner.clone().shut().await;
        if let Some(revocation) = revocation
            && !revocation.complete
        {
            tracing::warn!(
                reason = revocation.reason.as_deref(),
                "the log-in may still be alive; the next start sweeps it"
            );
        }
    }
}

/// How many kept runs are forgotten in one go.
const EXPIRED_AT_ONCE: usize = 10_000;

/// The task, if this caller may run it. Not there and not allowed look the same.
fn find(settings: &Settings, peer: &Peer, task: &str) -> Result<(TaskName, PreparedTask), Refused> {
    let name: TaskName = (task.parse()).map_err(|error: crate::name::InvalidName| {
        Refused::new(ProblemKind::Invalid, error.to_string())
    })?;
    let known = settings.catalogue.get(&name);
    let Some(task) = known.filter(|_| settings.access.may_run(peer, &name)) else {
        return Err(Refused::new(
            ProblemKind::NotFound,
            format!("there is no task `{name}`, or you may not run it"),
        )
        .hint(
            "`GET /v1/tasks` lists yours; the operator's `[[server.allow]]` says who may run what",
        ));
    };
    match &task.prepared {
        Ok(prepared) => Ok((name, prepared.clone())),
        Err(_) => Err(Refused::new(
            ProblemKind::Unavailable,
            format!(
                "task `{name}` cannot be run: {}",
                task.view.unusable.as_deref().unwrap_or_default()
            ),
        )
        .hint("the service's own log says what is wrong with its files")),
    }
}

/// What makes two submissions the same: every byte of what they ask for.
fn digest_of(submission: &Submission) -> Result<Digest, Refused> {
    let text = serde_json::to_vec(submission).map_err(|_| {
        Refused::new(
            ProblemKind::Invalid,
            "the submission cannot be written as JSON",
        )
    })?;
    Ok(Digest::of(&text))
}

fn raw(report: &RunReport) -> Box<RawValue> {
    serde_json::value::to_raw_value(report).unwrap_or_else(|error| {
        // A path that is not UTF-8 is all that could be in the way.
        tracing::error!(%error, "a report cannot be written as JSON");
        RawValue::NULL.to_owned()
    })
}

fn unknown_run() -> Refused {
    Refused::new(ProblemKind::NotFound, "you have no such run")
        .hint("results are kept for `server.results` of the configuration, then forgotten")
}

fn unkept() -> Refused {
    Refused::new(
        ProblemKind::Unavailable,
        "results cannot be kept now, so nothing is begun",
    )
    .hint("the operator has to make room on the disk of the state folder")
    .retry_after(5)
}

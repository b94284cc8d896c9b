//! What the runs of one process share, and the ways into the line.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use tracing::Instrument as _;
use uuid::Uuid;

use super::ending::{audit_report, exit_with, refused_report};
use super::line::Line;
use super::over::{Over, unsealed};
use super::spans;
use super::{Cancellation, RevocationReport, RunError, RunReport, RunRequest};
use crate::api::Terms;
use crate::audit::{AuditError, AuditLog, Event, Recorder, SealedAudit, sync_chains};
use crate::capability::LogSink;
use crate::capability::http::HttpClients;
use crate::capability::network::ForbiddenOrigin;
use crate::capability::sql::SqlServers;
use crate::config::HostConfig;
use crate::digest::Digest;
use crate::engine::{Background, Engine, LoadedTask, Progress};
use crate::grants::{self, Grants, RunLimits, WiderLimit};
use crate::lock::Mutex;
use crate::name::TaskName;
use crate::scrub::SecretSet;
use crate::vault::{Revocation, Vault};

/// Everything that runs of one process share. Cheap to clone.
#[derive(Clone)]
pub struct Runner(Arc<Shared>);

pub(super) struct Shared {
    config: HostConfig,
    engine: Engine,
    /// The chain for runs that begin now.
    audit: ArcSwap<AuditLog>,
    pub(super) vault: Option<Vault>,
    pub(super) http: Arc<HttpClients>,
    pub(super) sql: Arc<SqlServers>,
}

impl Shared {
    fn load(&self, grants: Arc<Grants>, progress: &dyn Progress) -> Result<PreparedTask, RunError> {
        let component = self.engine.load(&grants, &self.config.root, progress)?;
        Ok(PreparedTask {
            grants,
            component,
            tightened: None,
        })
    }
}

/// A task whose grants and component are known to fit each other.
#[derive(Clone)]
pub struct PreparedTask {
    pub(super) grants: Arc<Grants>,
    pub(super) component: LoadedTask,
    /// Which limits of `grants` are the caller's.
    pub(super) tightened: Option<RunLimits>,
}

impl PreparedTask {
    /// What the task may do.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// The same under tighter limits.
    ///
    /// # Errors
    /// When one of them would be wider than the grants'.
    pub fn tightened(self, asked: &RunLimits) -> Result<Self, WiderLimit> {
        if asked.is_empty() {
            return Ok(self);
        }
        let limits = self.grants.limits.tightened(asked)?;
        let grants = Grants {
            limits,
            ..Grants::clone(&self.grants)
        };
        Ok(Self {
            grants: Arc::new(grants),
            tightened: Some(asked.clone()),
            ..self
        })
    }

    /// What a run of it may use, and how much of it.
    pub fn terms(&self) -> Terms {
        Terms {
            grants: self.grants.names(),
            limits: self.grants.limits.shown(),
        }
    }
}

impl Runner {
    /// Starts the engine and opens the audit, for many attempts beside each
    /// other; contacts nobody.
    ///
    /// # Errors
    /// When the audit, the engine or the Vault configuration cannot be used.
    pub fn new(config: HostConfig) -> Result<Self, RunError> {
        let audit = AuditLog::create(&config.audit)?;
        Self::with_audit(config, audit)
    }

    /// [`Runner::new`] for the one attempt of this process.
    ///
    /// # Errors
    /// As [`Runner::new`].
    pub fn alone(config: HostConfig) -> Result<Self, RunError> {
        let audit = AuditLog::create(&config.audit)?;
        Self::start(config, audit, Background::Usual)
    }

    /// [`Runner::new`] on an audit that is open already.
    ///
    /// # Errors
    /// When the engine or the Vault configuration cannot be used.
    pub fn with_audit(config: HostConfig, audit: AuditLog) -> Result<Self, RunError> {
        Self::start(config, audit, Background::Lowest)
    }

    fn start(
        config: HostConfig,
        audit: AuditLog,
        background: Background,
    ) -> Result<Self, RunError> {
        let engine = Engine::new(config.engine, background, &config.cache, &config.state)?;
        let vault = config
            .vault
            .clone()
            .map(|vault| Vault::new(vault, &config.state))
            .transpose()?;
        // Vault itself is never a destination of a task.
        let forbidden = vault
            .iter()
            .flat_map(|vault| vault.addresses().iter())
            .filter_map(|address| ForbiddenOrigin::of(address.url()));
        let forbidden: Vec<_> = forbidden.collect();
        let http = Arc::new(HttpClients::new(forbidden.clone()));
        let sql = Arc::new(SqlServers::new(forbidden));
        Ok(Self(Arc::new(Shared {
            config,
            engine,
            audit: ArcSwap::from_pointee(audit),
            vault,
            http,
            sql,
        })))
    }

    /// Vault as the runs use it; none without `[vault]`.
    pub fn vault(&self) -> Option<&Vault> {
        self.0.vault.as_ref()
    }

    /// Resolves the grants and loads the component: steps 3 and 4. What it
    /// returns can serve many runs.
    ///
    /// # Errors
    /// When the grants or the component cannot be used.
    pub async fn prepare(
        &self,
        task: &TaskName,
        progress: Arc<dyn Progress>,
    ) -> Result<PreparedTask, RunError> {
        let (shared, task) = (Arc::clone(&self.0), task.clone());
        // Reading, hashing and compiling block.
        let prepared = tokio::task::spawn_blocking(move || {
            let grants = grants::load(&shared.config.grants, &task)?;
            shared.load(Arc::new(grants), &*progress)
        });
        prepared.await.unwrap_or(Err(RunError::Panic))
    }

    /// [`Runner::prepare`] with grants that were read before.
    ///
    /// # Errors
    /// When the component cannot be used.
    pub async fn prepare_with(
        &self,
        grants: Arc<Grants>,
        progress: Arc<dyn Progress>,
    ) -> Result<PreparedTask, RunError> {
        let shared = Arc::clone(&self.0);
        let prepared = tokio::task::spawn_blocking(move || shared.load(grants, &*progress));
        prepared.await.unwrap_or(Err(RunError::Panic))
    }

    /// Gives back the memory of the components that no prepared task and no run has any
    /// more.
    pub fn forget_unused(&self) {
        self.0.engine.forget_unused();
    }

    /// Runs one attempt, from the request to the report. It always ends in a
    /// report, and it goes on to its end when the caller drops the future.
    pub async fn run(
        &self,
        request: RunRequest,
        log: Arc<dyn LogSink>,
        progress: Arc<dyn Progress>,
        cancel: Cancellation,
    ) -> RunReport {
        let prepared = self.prepare(request.task(), progress).await;
        self.run_prepared(prepared, request, log, cancel).await
    }

    /// [`Runner::run`] for a task that was prepared before.
    pub async fn run_prepared(
        &self,
        prepared: Result<PreparedTask, RunError>,
        request: RunRequest,
        log: Arc<dyn LogSink>,
        cancel: Cancellation,
    ) -> RunReport {
        let audit = AuditLog::clone(&self.0.audit.load());
        let fallback = (request.run().to_string(), request.task().to_string());
        let runner = self.clone();
        let walk = async move {
            let over = runner.carry(prepared, request, log, cancel);
            over.await.synced().await
        };
        tokio::spawn(walk).await.unwrap_or_else(|_| {
            let (run, task) = fallback;
            refused_report(run, task, &audit, &RunError::Panic)
        })
    }

    /// The same on the caller's task, to the moment at which the audit is written
    /// and not yet synced. It must be driven to its end: what is left of an authority
    /// otherwise is the next sweep's.
    pub(crate) async fn carry(
        &self,
        prepared: Result<PreparedTask, RunError>,
        request: RunRequest,
        log: Arc<dyn LogSink>,
        cancel: Cancellation,
    ) -> Over {
        let audit = AuditLog::clone(&self.0.audit.load());
        let line = Line {
            shared: Arc::clone(&self.0),
            audit: audit.clone(),
            run: request.run().to_string(),
            request,
            begun: Instant::now(),
            cancel,
            secrets: SecretSet::default(),
            left: Mutex::default(),
        };
        let (run, task) = (line.run.clone(), line.request.task().to_string());
        let span = spans::run(&line.run, &line.request);
        let walk = line.walk(prepared, log).instrument(span);
        AssertUnwindSafe(walk)
            .catch_unwind()
            .await
            .unwrap_or_else(|_| {
                let report = refused_report(run, task, &audit, &RunError::Panic);
                Over::panicked(report, audit)
            })
    }

    /// The configuration that it was made with.
    pub fn config(&self) -> &HostConfig {
        &self.0.config
    }

    /// Makes sure that runs which begin now can be written down: when the
    /// audit's chain takes no more lines, or has grown to `most` bytes, a new one
    /// is begun in a new file. Runs under way stay with theirs.
    ///
    /// # Errors
    /// When that cannot be done; until it can, runs are refused unless the chain
    /// takes lines still.
    pub fn mend_audit(&self, most: u64) -> Result<(), AuditError> {
        let audit = self.0.audit.load();
        if audit.is_closed() || audit.size() >= most {
            let next = audit.followed(&self.0.config.audit)?;
            self.0.audit.store(Arc::new(next));
        }
        Ok(())
    }

    /// Has the disk take what killed services left in the audit.
    ///
    /// # Errors
    /// When it does not.
    pub fn sync_earlier(&self) -> Result<(), AuditError> {
        sync_chains(&self.0.config.audit)
    }

    /// Has the disk take all lines of the current chain so far.
    ///
    /// # Errors
    /// When it does not.
    pub fn sync_audit(&self) -> Result<(), AuditError> {
        self.0.audit.load().sync_here()
    }

    /// Writes down which grants runs begin with from now on.
    ///
    /// # Errors
    /// When the audit cannot be written.
    pub fn note_grants(&self, grants: BTreeMap<String, Digest>) -> Result<(), AuditError> {
        let recorder = self.0.audit.load().chain_recorder();
        recorder.record(&Event::GrantsInUse { grants }).map(drop)
    }

    /// Writes down that runs were lost with the process that carried them, and
    /// whether each was swept.
    ///
    /// # Errors
    /// When the audit cannot be written to its end.
    pub async fn note_lost(
        &self,
        lost: impl IntoIterator<Item = (Uuid, bool)>,
    ) -> Result<(), AuditError> {
        let audit = AuditLog::clone(&self.0.audit.load());
        for (run, swept) in lost {
            let recorder = audit.recorder(&run.to_string());
            recorder.record(&Event::RunLost { swept })?;
        }
        audit.chain_recorder().seal().await.map(drop)
    }

    /// Ends the log-in of a process that served many runs, and writes that
    /// down.
    pub async fn shut(self) -> Option<RevocationReport> {
        let revocation = self.0.vault.clone()?.close().await?;
        let recorder = self.0.audit.load().chain_recorder();
        login_closed(&recorder, &revocation).await;
        Some(RevocationReport::from(&revocation))
    }

    /// Ends the process's log-in. `report` is that of the last run; it takes in
    /// what became of the log-in and the chain's final head.
    pub async fn close(self, report: RunReport) -> RunReport {
        let Some(vault) = self.0.vault.clone() else {
            return report;
        };
        let Some(revocation) = vault.close().await else {
            return report;
        };
        let audit = self.0.audit.load();
        let recorder = audit.recorder(&report.run);
        let sealed = login_closed(&recorder, &revocation).await;
        let revocation = match report.revocation {
            Some(child) => child.and(&revocation),
            None => RevocationReport::from(&revocation),
        };
        let exit = exit_with(report.exit, revocation.complete && sealed.is_some());
        RunReport {
            revocation: Some(revocation),
            exit,
            audit: audit_report(&audit, sealed),
            ..report
        }
    }
}

/// Writes down what became of the log-in, and seals the chain; none when it could not be,
/// which the host's own log tells.
async fn login_closed(recorder: &Recorder, revocation: &Revocation) -> Option<SealedAudit> {
    let closed = Event::LoginClosed {
        revoked: revocation.complete,
        reason: revocation.reason,
    };
    if let Err(error) = recorder.record(&closed) {
        tracing::error!(%error, "the end of the log-in is not in the audit");
        return None;
    }
    let sealed = recorder.seal().await;
    sealed.inspect_err(unsealed).ok()
}

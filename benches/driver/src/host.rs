//! The host in this process.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use cofferdam::audit::{AuditLog, AuditOptions};
use cofferdam::capability::{LogLine, LogSink};
use cofferdam::config::HostConfig;
use cofferdam::engine::Progress;
use cofferdam::identity::{Assurance, IdentityParts};
use cofferdam::run::{Cancellation, PreparedTask, RunReport, RunRequest, Runner};
use cofferdam_devkit::world::DAG;
use tokio::task::JoinSet;

struct Nobody;

impl LogSink for Nobody {
    fn line(&self, _: LogLine) {}
}

impl Progress for Nobody {
    fn compiling(&self, _: &Path) {}
    fn compiled(&self) {}
}

/// A runner with one task that is loaded already.
pub(crate) struct Host {
    runner: Runner,
    prepared: PreparedTask,
    task: String,
}

impl Host {
    /// Loads `task` of the installation in `folder`. `sync` as in the audit's options.
    pub(crate) async fn load(folder: &Path, task: &str, sync: bool) -> Result<Arc<Self>> {
        let config = HostConfig::load(&folder.join("cofferdam.toml"))?;
        let audit = AuditLog::create_with(&config.audit, AuditOptions { sync })?;
        let runner = Runner::with_audit(config, audit)?;
        let prepared = runner.prepare(&task.parse()?, Arc::new(Nobody)).await?;
        Ok(Arc::new(Self {
            runner,
            prepared,
            task: task.to_owned(),
        }))
    }

    /// One attempt, from the request to the report.
    pub(crate) async fn attempt(&self, input: &str) -> Result<RunReport> {
        let identity = IdentityParts {
            bundle: String::new(),
            dag_id: DAG.to_owned(),
            task_id: self.task.clone(),
            run_id: "bench".to_owned(),
            try_number: 1,
            map_index: -1,
            logical_date: None,
            assurance: Assurance::Claimed,
        };
        let request = RunRequest::new(self.task.parse()?, identity.check()?, input.to_owned())?;
        let report = self
            .runner
            .run_prepared(
                Ok(self.prepared.clone()),
                request,
                Arc::new(Nobody),
                Cancellation::default(),
            )
            .await;
        Ok(report)
    }

    /// As many attempts, one after the other; the durations in nanoseconds.
    ///
    /// On a worker of the runtime, as a server would run them.
    pub(crate) async fn batch(self: &Arc<Self>, input: &str, n: usize) -> Result<Vec<u64>> {
        let (host, input) = (Arc::clone(self), input.to_owned());
        tokio::spawn(async move { host.repeat(&input, n).await }).await?
    }

    /// As many attempts, so many of them under way at once.
    pub(crate) async fn parallel(
        self: &Arc<Self>,
        input: &str,
        n: usize,
        at_once: usize,
    ) -> Result<()> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut lanes = JoinSet::new();
        for _ in 0..at_once {
            let (host, input, next) = (Arc::clone(self), input.to_owned(), Arc::clone(&next));
            lanes.spawn(async move {
                while next.fetch_add(1, Ordering::Relaxed) < n {
                    host.repeat(&input, 1).await?;
                }
                Ok::<_, anyhow::Error>(())
            });
        }
        while let Some(lane) = lanes.join_next().await {
            lane??;
        }
        Ok(())
    }

    async fn repeat(&self, input: &str, n: usize) -> Result<Vec<u64>> {
        let mut nanos = Vec::with_capacity(n);
        for _ in 0..n {
            let start = Instant::now();
            let report = self.attempt(input).await?;
            nanos.push(u64::try_from(start.elapsed().as_nanos())?);
            ensure!(report.exit == 0, "the attempt failed: {report:?}");
        }
        Ok(nanos)
    }

    /// Ends the log-in.
    pub(crate) async fn close(self: Arc<Self>, input: &str) -> Result<()> {
        let last = self.attempt(input).await?;
        let report = self.runner.clone().close(last).await;
        let revocation = report.revocation.context("there was no log-in")?;
        ensure!(revocation.complete, "the log-in could not be revoked");
        Ok(())
    }
}

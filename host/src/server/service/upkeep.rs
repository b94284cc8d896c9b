//! What changes by itself, and what an earlier service left.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::Inner;
use super::Service;
use crate::api::RunState;
use crate::run::RunReport;
use crate::server::error::ServeError;
use crate::server::store::Record;

/// How many kept runs are forgotten in one go.
const EXPIRED_AT_ONCE: usize = 10_000;

impl Service {
    /// Takes in what an earlier service left behind.
    pub(super) async fn recover(&self) -> Result<(), ServeError> {
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
            record.view.state = RunState::Lost;
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

    /// A chain that takes no more lines is followed by a new one.
    pub(super) fn watch_audit(&self, report: &RunReport) {
        if report.audit.head.is_none() {
            self.mend();
        }
    }

    /// Sees to it that the audit and the store take something again, and keeps
    /// in mind whether they do.
    fn mend(&self) {
        let mended = self.0.runner.mend_audit(self.0.settings.load().audit_file);
        self.0.watched.audit(mended.as_ref().copied());
    }

    /// Looks after what changes by itself; to be called once in a second.
    pub(in crate::server) async fn tick(&self) {
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
    pub(in crate::server) async fn look_at_vault(&self, limit: Duration) {
        if let Some(vault) = self.0.runner.vault() {
            let nodes = vault.health(limit).await;
            self.0.watched.vault(&nodes);
        }
    }
}

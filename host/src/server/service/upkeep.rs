//! What changes by itself, and what an earlier service left.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::try_join_all;
use jiff::Timestamp;
use uuid::Uuid;

use super::{Inner, Service};
use crate::api::RunState;
use crate::server::error::ServeError;
use crate::server::store::Record;

/// How many kept runs are forgotten in one commit, for which others wait.
const EXPIRED_AT_ONCE: usize = 100;

/// Between two such commits: ten thousand runs in a second, which is more than come.
const BREATH: Duration = Duration::from_millis(10);

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
        let left = left.map(HashSet::<String>::from_iter);
        let ended = Timestamp::now();
        let swept = |run: &Uuid| (left.as_ref()).is_some_and(|it| !it.contains(&run.to_string()));
        // One sync for all of them, and one more for what is kept.
        runner
            .note_lost(lost.iter().map(|(run, _)| (*run, swept(run))))
            .await?;
        let kept = lost.into_iter().map(async |(run, mut record)| {
            record.view.state = RunState::Lost;
            record.view.ended = Some(ended);
            record.view.swept = Some(swept(&run));
            store.put(run, &record).await?;
            let keys = (record.key, record.submission);
            registry.lock().found(run, record.owner, keys, ended);
            self.0.metrics.lost(&record.view.task);
            tracing::warn!(%run, swept = swept(&run), "a run was lost with the service that carried it");
            Ok(())
        });
        try_join_all(kept).await.map(drop)
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
        inner.settings.load().pace.tidy();
    }

    /// Forgets the kept runs whose time is over; to be called once in a second.
    pub(in crate::server) async fn forget_old(&self) {
        let inner = &*self.0;
        loop {
            let results = inner.settings.load().results;
            let gone = inner.registry.lock().expire(
                Timestamp::now(),
                results.keep,
                results.most,
                EXPIRED_AT_ONCE,
            );
            let is_last = gone.len() < EXPIRED_AT_ONCE;
            if gone.is_empty() {
                return;
            }
            if let Err(error) = inner.store.forget(gone).await {
                inner.watched.store(Err(&error));
                return;
            }
            if is_last {
                return;
            }
            tokio::time::sleep(BREATH).await;
        }
    }

    /// Ends what runs could not end because Vault was away, once it serves again.
    pub(in crate::server) async fn settle(&self) {
        let Some(vault) = self.0.runner.vault() else {
            return;
        };
        if vault.stats().pending_revocations == 0 || !self.0.watched.vault_health().ok {
            return;
        }
        let failure = match vault.sweep().await {
            Ok(report) => report.failure.map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        // What the sweep did not settle it does not call a failure.
        match vault.stats().pending_revocations {
            0 => tracing::warn!("what runs could not end in vault was swept"),
            left => tracing::warn!(
                left,
                error = failure,
                "what runs could not end in vault is not all swept; it is tried again"
            ),
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

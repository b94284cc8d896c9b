//! What changes by itself, and what an earlier service left.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::try_join_all;
use jiff::Timestamp;
use uuid::Uuid;

use super::{Inner, Service};
use crate::api::{RunState, RunView};
use crate::run::Runner;
use crate::server::error::ServeError;
use crate::server::store::{Head, Record, StoreError};

/// How many kept runs are forgotten in one commit, for which others wait.
const EXPIRED_AT_ONCE: usize = 100;

/// The same once it is behind: when so many commits in a row were not enough.
const BEHIND: usize = 100;
const EXPIRED_AT_ONCE_BEHIND: usize = 400;

/// Between two such commits: some seven thousand runs in a second, and more than come when it
/// is behind.
const BREATH: Duration = Duration::from_millis(10);

/// The runs of which an earlier service left something in Vault that could not be ended;
/// none when that is not known.
pub(super) struct Left(Option<HashSet<String>>);

impl Left {
    /// Ends what an earlier service left in Vault. Whether or not a run is known to be
    /// lost: one that was never written down has no authority, but a log-in may have been
    /// left. It comes before whatever may take long at a start.
    pub(super) async fn sweep(runner: &Runner) -> Self {
        let Some(vault) = runner.vault() else {
            return Self(Some(HashSet::new()));
        };
        let report = match vault.sweep().await {
            Ok(report) => report,
            Err(error) => {
                tracing::warn!(%error, "what an earlier service left could not be swept");
                return Self(None);
            }
        };
        if let Some(error) = &report.failure {
            tracing::warn!(%error, "what an earlier service left could not be swept");
        }
        let found = report.found.into_iter();
        let unsettled = found.filter(|it| !it.outcome.is_settled());
        Self(Some(unsettled.map(|it| it.id).collect()))
    }

    /// Whether nothing of this run is left.
    fn is_swept(&self, run: Uuid) -> bool {
        let left = self.0.as_ref();
        left.is_some_and(|left| !left.contains(&run.to_string()))
    }
}

/// What a start finds in the store.
#[derive(Default)]
struct Found {
    lost: Vec<(Uuid, Head)>,
    /// Those that have something apart.
    large: HashSet<Uuid>,
}

impl Service {
    /// Takes in what an earlier service kept, and the runs that it lost.
    pub(super) async fn recover(&self, left: &Left) -> Result<(), ServeError> {
        let Inner {
            store,
            registry,
            runner,
            ..
        } = &*self.0;
        store.check().await?;
        let service = self.clone();
        let found = store.each(Found::default(), move |found, run, head| {
            let weight = head.weight();
            if weight.apart > 0 {
                found.large.insert(run);
            }
            match head.ended() {
                Some(ended) => {
                    let keys = (head.key, head.submission);
                    let mut registry = service.0.registry.lock();
                    registry.found(run, head.owner, keys, ended, weight);
                }
                None => found.lost.push((run, head)),
            }
        });
        let Found { lost, large } = found.await?;
        store.forget_others(&large).await?;
        let ended = Timestamp::now();
        // One sync for all of them, and one more for what is kept.
        let swept = |run: &Uuid| left.is_swept(*run);
        runner
            .note_lost(lost.iter().map(|(run, _)| (*run, swept(run))))
            .await?;
        let kept = lost.into_iter().map(async |(run, head)| {
            let view = RunView {
                state: RunState::Lost,
                ended: Some(ended),
                swept: Some(swept(&run)),
                ..head.view
            };
            let keys = (head.key, head.submission);
            let record = Record::new(head.owner.clone(), keys, view, None, Vec::new());
            store.put(run, &record).await?;
            let weight = record.head.weight();
            registry.lock().found(run, head.owner, keys, ended, weight);
            self.0.metrics.lost(&record.head.view.task);
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
        if let Some(error) = inner.store.late_failure() {
            // Tried with the next tick: until then whoever asks is told.
            inner.watched.store(Err(&error));
        }
        if let Some(vault) = inner.runner.vault() {
            let probed = vault.probe_journal().await;
            inner.watched.journal(probed.as_ref().copied());
        }
        inner.settings.load().pace.tidy();
    }

    /// Forgets the kept runs whose time is over or that are too many, and gives the room
    /// that they had back to the disk; to be called once in a second.
    pub(in crate::server) async fn forget_old(&self) {
        let tidied = match self.expire().await {
            Ok(()) => self.give_back().await,
            failed => failed,
        };
        if let Err(error) = tidied {
            self.0.watched.store(Err(&error));
        }
    }

    async fn expire(&self) -> Result<(), StoreError> {
        let inner = &*self.0;
        let mut commits = 0_usize;
        loop {
            let at_once = if commits < BEHIND {
                EXPIRED_AT_ONCE
            } else {
                EXPIRED_AT_ONCE_BEHIND
            };
            let results = inner.settings.load().results;
            let now = Timestamp::now();
            let expired = (inner.registry.lock()).expire(now, &results, at_once);
            let (gone, is_early) = expired;
            if is_early {
                inner.metrics.crowded();
            }
            if gone.is_empty() {
                return Ok(());
            }
            // What fails is told by the registry again.
            inner.store.forget(&gone).await?;
            inner.registry.lock().forgotten();
            if gone.len() < at_once {
                return Ok(());
            }
            commits = commits.saturating_add(1);
            tokio::time::sleep(BREATH).await;
        }
    }

    /// Gives back what was forgotten, a little at a time.
    async fn give_back(&self) -> Result<(), StoreError> {
        let store = &self.0.store;
        let mut has_given = false;
        while store.give_back().await? {
            has_given = true;
            tokio::time::sleep(BREATH).await;
        }
        match has_given {
            true => store.given_back().await,
            false => Ok(()),
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

//! What a caller sees of its runs and tasks.

use std::cmp::Reverse;
use std::sync::{Arc, Weak};
use std::time::Duration;

use uuid::Uuid;

use super::Service;
use crate::api::{ProblemKind, RunState, RunView, TaskView};
use crate::name::TaskName;
use crate::run::Canceller;
use crate::server::access::Peer;
use crate::server::live::LiveRun;
use crate::server::log::{Growth, Page};
use crate::server::refused::Refused;
use crate::server::store::{Head, KeptLog, StoreError};

/// Runs of one answer to `GET /v1/runs`; more when more are under way.
const LISTED: usize = 100;

/// A log to be read.
pub(in crate::server) enum Log {
    /// One that may still grow. Who reads it does not hold it: it is gone when it is kept.
    Live(Weak<LiveRun>, Growth),
    /// One that is kept, of a run in this state.
    Kept(KeptLog, RunState),
}

impl Service {
    /// One run of this owner.
    pub(in crate::server) async fn view(&self, peer: &Peer, run: Uuid) -> Result<RunView, Refused> {
        match self.live_of(peer, run)? {
            Some(live) => Ok(live.view()),
            None => self.kept_view(peer, run).await,
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

    async fn kept_of(&self, peer: &Peer, run: Uuid) -> Result<Head, Refused> {
        let head = self.0.store.head(run).await;
        head.map_err(|error| self.unread(&error))?
            .filter(|head| head.owner == peer.owner)
            .ok_or_else(unknown_run)
    }

    async fn kept_view(&self, peer: &Peer, run: Uuid) -> Result<RunView, Refused> {
        let head = self.kept_of(peer, run).await?;
        let view = self.0.store.view(head).await;
        view.map_err(|error| self.unread(&error))?
            .ok_or_else(unknown_run)
    }

    fn unread(&self, error: &StoreError) -> Refused {
        self.0.watched.store(Err(error));
        Refused::new(
            ProblemKind::Unavailable,
            "what is kept of runs cannot be read now",
        )
        .hint("the service's own log says why")
        .retry_after(5)
    }

    /// The newest runs of this owner, without their reports.
    pub(in crate::server) async fn list(&self, peer: &Peer) -> Result<Vec<RunView>, Refused> {
        let runs = self.0.registry.lock().newest_of(&peer.owner, LISTED);
        let (mut views, mut kept) = (Vec::with_capacity(runs.len()), Vec::new());
        for run in runs {
            match self.live_of(peer, run) {
                Ok(Some(live)) => views.push(live.view_without_report()),
                Ok(None) => kept.push(run),
                // Forgotten meanwhile.
                Err(_) => {}
            }
        }
        let kept = self.0.store.views(kept).await;
        views.extend(kept.map_err(|error| self.unread(&error))?);
        views.sort_unstable_by_key(|view| Reverse(view.run));
        Ok(views)
    }

    /// Waits for the end of a run, at most so long; how it is then.
    pub(in crate::server) async fn wait(
        &self,
        peer: &Peer,
        run: Uuid,
        most: Duration,
    ) -> Result<RunView, Refused> {
        if let Some(live) = self.live_of(peer, run)? {
            let _ = tokio::time::timeout(most, live.ended()).await;
            return live.told().ok_or_else(unknown_run);
        }
        self.kept_view(peer, run).await
    }

    /// Cancels a run and waits until its authority is closed. One that is over
    /// stays as it is.
    pub(in crate::server) async fn cancel(
        &self,
        peer: &Peer,
        run: Uuid,
    ) -> Result<RunView, Refused> {
        if let Some(live) = self.live_of(peer, run)? {
            live.cancel.ask(Canceller::Caller);
            live.ended().await;
            return live.told().ok_or_else(unknown_run);
        }
        self.kept_view(peer, run).await
    }

    /// The log of a run.
    pub(in crate::server) async fn log(&self, peer: &Peer, run: Uuid) -> Result<Log, Refused> {
        if let Some(live) = self.live_of(peer, run)? {
            return Ok(Log::Live(Arc::downgrade(&live), live.log.growth()));
        }
        let head = self.kept_of(peer, run).await?;
        Ok(Log::Kept(head.log(), head.view.state))
    }

    /// Of a kept log, some lines after this one; none when the run was forgotten meanwhile.
    pub(in crate::server) async fn page(
        &self,
        run: Uuid,
        log: KeptLog,
        after: u64,
    ) -> Result<Option<Page>, Refused> {
        let page = self.0.store.page(run, log, after).await;
        let page = page.map_err(|error| self.unread(&error))?;
        Ok(page.and_then(|page| page.after(after)))
    }

    /// The tasks that this caller may run.
    pub(in crate::server) fn tasks(&self, peer: &Peer) -> Vec<TaskView> {
        let settings = self.0.settings.load();
        let may = |name: &TaskName| settings.access.may_run(peer, name);
        let tasks = settings.catalogue.iter().filter(|(name, _)| may(name));
        tasks.map(|(_, task)| task.view.clone()).collect()
    }
}

fn unknown_run() -> Refused {
    Refused::new(ProblemKind::NotFound, "you have no such run")
        .hint("results are kept for `server.results` of the configuration, then forgotten")
}

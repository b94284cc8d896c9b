//! What a caller sees of its runs and tasks.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{Service, unkept};
use crate::api::{LogEntry, ProblemKind, RunState, RunView, TaskView};
use crate::name::TaskName;
use crate::run::Canceller;
use crate::server::access::Peer;
use crate::server::live::LiveRun;
use crate::server::log::RunLog;
use crate::server::refused::Refused;
use crate::server::store::Record;

/// Runs of one answer to `GET /v1/runs`; more when more are under way.
const LISTED: usize = 100;

/// A log to be read: one that still grows, or one that is kept.
pub(in crate::server) enum Log {
    Live(Arc<RunLog>, Arc<LiveRun>),
    Kept(Vec<LogEntry>, RunState),
}

impl Service {
    /// One run of this owner.
    pub(in crate::server) fn view(&self, peer: &Peer, run: Uuid) -> Result<RunView, Refused> {
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
    pub(in crate::server) async fn list(&self, peer: &Peer) -> Vec<RunView> {
        let runs = self.0.registry.lock().newest_of(&peer.owner, LISTED);
        let (service, peer) = (self.clone(), peer.clone());
        // Many small reads, some of which the disk may have to do.
        let views = tokio::task::spawn_blocking(move || {
            let view = |run| match service.live_of(&peer, run).ok()? {
                Some(live) => Some(live.view_without_report()),
                None => service.0.store.view(run).ok()?,
            };
            runs.into_iter().filter_map(view).collect()
        });
        views.await.unwrap_or_default()
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
        Ok(self.kept_of(peer, run)?.view)
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
        Ok(self.kept_of(peer, run)?.view)
    }

    /// The log of a run.
    pub(in crate::server) fn log(&self, peer: &Peer, run: Uuid) -> Result<Log, Refused> {
        if let Some(live) = self.live_of(peer, run)? {
            return Ok(Log::Live(Arc::clone(&live.log), live));
        }
        let record = self.kept_of(peer, run)?;
        let lines = record.log.map(|lines| serde_json::from_str(lines.get()));
        let lines = lines.transpose().map_err(|_| unkept())?;
        Ok(Log::Kept(lines.unwrap_or_default(), record.view.state))
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

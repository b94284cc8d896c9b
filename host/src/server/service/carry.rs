//! Carrying one run from its acceptance to its kept end.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::value::RawValue;
use tracing::Instrument as _;

use super::Service;
use super::admission::Place;
use crate::run::{Over, PreparedTask, RunReport, RunRequest};
use crate::server::budget::Share;
use crate::server::live::{LiveRun, Phase};
use crate::server::metrics::Running;
use crate::server::queue::{Ticket, Turn};
use crate::server::store::{Member, Pace, StoreError, Unkept};

/// A run that can do nothing but answer is written down when it is not over by then.
const BRIEF: Duration = Duration::from_millis(2);

/// Between two tries to keep the end of a run whose result the disk does not take.
const PAUSE: Duration = Duration::from_millis(500);

impl Service {
    /// One run, from its acceptance to the moment at which its end is kept.
    pub(super) async fn carry(
        self,
        live: Arc<LiveRun>,
        prepared: PreparedTask,
        request: RunRequest,
        place: Place,
    ) {
        let inner = &*self.0;
        let Place {
            ticket,
            waited_for,
            room,
        } = place;
        let is_brief = live.is_brief() && !inner.watched.store_is_failing();
        let mut run = Box::pin(self.run(&live, prepared, request, (ticket, room)));
        let (over, running, turn) = if is_brief {
            // That answer is not sent before its end is written: one that is over at once
            // need not be written down twice.
            tokio::select! {
                biased;
                over = &mut run => over,
                () = self.note_later(&live) => run.await,
            }
        } else {
            if !self.note(&live).await {
                inner.registry.lock().refuse(&live);
                live.moved(Phase::Refused);
                return;
            }
            run.await
        };
        live.over();
        let (report, ended) = self.keep(&live, over, running).await;
        // Not before: ends that the disk does not take yet are in memory, and no more of
        // them may come than there may be runs. Not later: who is told the end may submit
        // the next run at once, and where there is no queue needs the place.
        drop(turn);
        inner.registry.lock().end(&live, ended);
        live.moved(Phase::Ended(report));
        drop(waited_for);
    }

    /// From its place in the queue to the end of its authority; the place comes back with it.
    async fn run(
        &self,
        live: &LiveRun,
        prepared: PreparedTask,
        request: RunRequest,
        (ticket, room): (Ticket, Share),
    ) -> (Over, Running<'_>, (Option<Turn>, Option<Member>)) {
        live.moved(Phase::Queued);
        // Who is cancelled while he waits is reported, and needs no turn for it.
        let turn = tokio::select! {
            biased;
            turn = ticket.turn() => turn,
            () = live.cancel.token().cancelled() => None,
        };
        live.moved(Phase::Running);
        let member = (live.pace() == Pace::Unhurried).then(|| self.0.store.join());
        let running = self.0.metrics.begun(request.task());
        let log = Arc::clone(&live.log);
        let cancel = live.cancel.clone();
        let over = (self.0.runner).carry(Ok(prepared), request, log, cancel);
        let over = over.await;
        // The input went with the run.
        drop(room);
        (over, running, (turn, member))
    }

    /// Writes down that a run began, unless it is over by then.
    async fn note_later(&self, live: &LiveRun) {
        tokio::time::sleep(BRIEF).await;
        self.note(live).await;
    }

    /// Writes down that a run began; whether the disk has it, or it is over by then.
    pub(super) async fn note(&self, live: &LiveRun) -> bool {
        if !live.note() {
            // Its end is being written down.
            live.ended().await;
            return true;
        }
        let (store, record) = (&self.0.store, live.record(None));
        match store.begin(live.run, &record, live.pace()).await {
            Ok(()) => {
                live.noted();
                true
            }
            Err(error) => {
                self.0.watched.store(Err(&error));
                false
            }
        }
    }

    /// Keeps the end of a run: its audit first, then its result. Returns what is told,
    /// and when it ended.
    async fn keep(
        &self,
        live: &LiveRun,
        over: Over,
        running: Running<'_>,
    ) -> (Arc<RawValue>, Timestamp) {
        let inner = &*self.0;
        let is_early =
            over.audit().is_some() && live.claim_early(inner.settings.load().results.sync);
        let over = match is_early {
            true => over.early(),
            false => over,
        };
        let report: Arc<RawValue> = raw(over.report()).into();
        let record = live.record(Some(Arc::clone(&report)));
        let (report, failure) = match over.audit().cloned() {
            Some(audit) => {
                let kept = async {
                    match is_early {
                        true => inner.store.put_early(audit, live.run, &record).await,
                        false => {
                            let pace = live.pace();
                            (inner.store.put_after(audit, live.run, &record, pace)).await
                        }
                    }
                };
                match kept.instrument(over.sealing()).await {
                    Ok(()) => {
                        running.ended(over.report());
                        return (report, record.ended());
                    }
                    Err(Unkept::Store(error)) => {
                        running.ended(over.report());
                        (report, Some(error))
                    }
                    Err(Unkept::Audit(error)) => {
                        let report = over.unsynced(&error);
                        running.ended(&report);
                        (raw(&report).into(), None)
                    }
                }
            }
            None => {
                running.ended(over.report());
                (report, None)
            }
        };
        let ended = self.keep_at_last(live, &report, failure).await;
        (report, ended)
    }

    /// Tries until the end of a run is kept, `failure` being the last try's.
    async fn keep_at_last(
        &self,
        live: &LiveRun,
        report: &Arc<RawValue>,
        mut failure: Option<StoreError>,
    ) -> Timestamp {
        let inner = &*self.0;
        loop {
            if let Some(error) = failure {
                inner.watched.store(Err(&error));
                // The work is done: who waits for it need not wait for the disk.
                live.moved(Phase::Ended(Arc::clone(report)));
                if self.is_draining() {
                    tracing::error!(run = %live.run, %error, "what became of a run could not be kept; the audit has it");
                    return Timestamp::now();
                }
                tokio::time::sleep(PAUSE).await;
            }
            let record = live.record(Some(Arc::clone(report)));
            failure = inner.store.put(live.run, &record).await.err();
            if failure.is_none() {
                return record.ended();
            }
        }
    }
}

fn raw(report: &RunReport) -> Box<RawValue> {
    serde_json::value::to_raw_value(report).unwrap_or_else(|error| {
        // A path that is not UTF-8 is all that could be in the way.
        tracing::error!(%error, "a report cannot be written as JSON");
        RawValue::NULL.to_owned()
    })
}

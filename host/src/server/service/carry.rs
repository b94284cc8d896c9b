//! Carrying one run from its acceptance to its kept end.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::Service;
use super::admission::Place;
use crate::run::{PreparedTask, RunReport, RunRequest};
use crate::server::live::{LiveRun, Phase};

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
        // The input went with the run.
        drop((turn, room));
        running.ended(&report);
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
            tokio::time::sleep(PAUSE).await;
            record = live.record(Some(report.as_ref().to_owned()));
        }
        let ended = record.view.ended.unwrap_or_else(Timestamp::now);
        inner.registry.lock().end(&live, ended);
        if !is_told {
            live.moved(Phase::Ended(report));
        }
        drop(waited_for);
    }
}

fn raw(report: &RunReport) -> Box<RawValue> {
    serde_json::value::to_raw_value(report).unwrap_or_else(|error| {
        // A path that is not UTF-8 is all that could be in the way.
        tracing::error!(%error, "a report cannot be written as JSON");
        RawValue::NULL.to_owned()
    })
}

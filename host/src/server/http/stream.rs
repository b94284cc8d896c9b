//! A run's log as server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};

use super::ask::{self, Caller, Query};
use crate::api::{LogEnd, LogEntry, LogStreamEvent, RunState};
use crate::server::live::LiveRun;
use crate::server::log::RunLog;
use crate::server::refused::Refused;
use crate::server::service::{Log, Service};

/// Lines that are taken out of a log at once.
const LINES: usize = 256;

/// How often a stream without lines says that it is there.
const ALIVE: Duration = Duration::from_secs(10);

/// Stream a run's log.
///
/// Events `line` bear the line's number as their id, without gaps from 1; the
/// last event is `end`. `Last-Event-ID` or `after` resumes exactly after that
/// line.
#[utoipa::path(
    get,
    path = "/v1/runs/{run}/log",
    operation_id = "stream_log",
    tag = "runs",
    params(
        ("run" = uuid::Uuid, Path, description = "The run's id"),
        ("after" = Option<u64>, Query, description = "Only lines after this one", minimum = 0),
        ("Last-Event-ID" = Option<u64>, Header, description = "The same, and the one that counts: who comes back repeats his query", minimum = 0),
    ),
    responses(
        (status = 200, description = "Events `line` with a LogEntry each, then `end` with a LogEnd", body = LogStreamEvent, content_type = "text/event-stream"),
        (status = 404, description = "The caller has no such run"),
        (status = 503, description = "Kept results cannot be read now"),
    ),
)]
pub(super) async fn log(
    State(service): State<Service>,
    Caller(peer): Caller,
    Path(run): Path<String>,
    query: RawQuery,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refused> {
    let query = Query::parse(query, &["after"])?;
    let run = ask::run(&run)?;
    let resumed = headers.get("last-event-id").map(|value| {
        let text = value.to_str().unwrap_or("not a number");
        ask::sequence(text)
    });
    // A reader that comes back repeats its first query.
    let after = resumed.transpose()?.or(query.after()?).unwrap_or(0);
    let reader = Reader::new(service.log(&peer, run)?, after);
    let events = stream::unfold(reader, |mut reader| async {
        reader.next().await.map(|event| (Ok(event), reader))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)))
}

/// One reader's place in a log.
struct Reader {
    source: Source,
    after: u64,
    /// Taken out, not yet sent.
    ready: VecDeque<LogEntry>,
    is_over: bool,
}

enum Source {
    Live(Arc<RunLog>, Arc<LiveRun>),
    Kept(RunState),
}

impl Reader {
    fn new(log: Log, after: u64) -> Self {
        let mut ready = VecDeque::new();
        let source = match log {
            Log::Live(log, live) => Source::Live(log, live),
            Log::Kept(lines, state) => {
                ready.extend(lines.into_iter().filter(|line| line.sequence > after));
                Source::Kept(state)
            }
        };
        Self {
            source,
            after,
            ready,
            is_over: false,
        }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                self.after = line.sequence;
                let event = Event::default()
                    .event("line")
                    .id(line.sequence.to_string())
                    .json_data(&line);
                // A line is a plain document; it cannot fail to be one.
                return event.ok();
            }
            if self.is_over {
                return None;
            }
            let state = match &self.source {
                Source::Kept(state) => *state,
                Source::Live(log, live) => {
                    let (lines, is_all) = log.after(self.after, LINES);
                    if !lines.is_empty() {
                        self.ready.extend(lines);
                        continue;
                    }
                    if !is_all {
                        log.grown(self.after).await;
                        continue;
                    }
                    live.ended().await;
                    // One that was not begun after all has no end.
                    live.state()?
                }
            };
            self.is_over = true;
            return Event::default()
                .event("end")
                .json_data(LogEnd { state })
                .ok();
        }
    }
}

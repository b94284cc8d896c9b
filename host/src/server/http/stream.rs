//! A run's log as server-sent events.
//!
//! A reader has a page at a time and nothing else of a log, and that page is counted for
//! him until it was sent: as many slow readers as there may be hold what
//! `server.limits.memory` lets them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::IntoResponse;
use futures_util::stream;
use uuid::Uuid;

use super::ask::{self, Caller, Query};
use super::pieces::{self, counted};
use crate::api::{LogEnd, LogStreamEvent, RunState};
use crate::server::access::Peer;
use crate::server::budget::Share;
use crate::server::log::Page;
use crate::server::refused::Refused;
use crate::server::service::{Log, Service};

/// How often a stream without lines says that it is there.
const ALIVE: Duration = Duration::from_secs(10);

/// How long a reader waits who has no room for more, until he asks again.
const NO_ROOM: Duration = Duration::from_millis(100);

/// What is taken for a page before it is read, in bytes: more than the largest takes, as
/// lines and as events. What it does not take is given back at once.
const ROOM: usize = 448 << 10;

/// What is around a line's document, in bytes: `event: line`, `id:` and `data:`.
const AROUND: usize = 48;

/// What every answer of this kind has.
const HEADERS: [(HeaderName, &str); 2] = [
    (header::CONTENT_TYPE, "text/event-stream"),
    (header::CACHE_CONTROL, "no-cache"),
];

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
) -> Result<impl IntoResponse, Refused> {
    let query = Query::parse(query, &["after"])?;
    let run = ask::run(&run)?;
    let resumed = headers.get("last-event-id").map(|value| {
        let text = value.to_str().unwrap_or("not a number");
        ask::sequence(text)
    });
    // A reader that comes back repeats its first query.
    let after = resumed.transpose()?.or(query.after()?).unwrap_or(0);
    let log = service.log(&peer, run).await?;
    let reader = Reader {
        service,
        peer,
        run,
        log,
        after,
        ready: Bytes::new(),
        is_over: false,
    };
    let pieces = stream::unfold(reader, |mut reader| async {
        let piece = reader.next().await;
        piece.map(|piece| (piece, reader))
    });
    Ok((HEADERS, Body::from_stream(pieces)))
}

/// One reader's place in a log.
struct Reader {
    service: Service,
    peer: Arc<Peer>,
    run: Uuid,
    log: Log,
    after: u64,
    /// Events that are not handed out yet.
    ready: Bytes,
    is_over: bool,
}

/// What comes next.
enum Next {
    Lines(Page),
    /// It may be somewhere else now.
    Again,
    End(RunState),
}

impl Reader {
    /// The next piece of the stream; an error breaks it off.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if let Some(piece) = pieces::next(&mut self.ready) {
            return Some(Ok(piece));
        }
        if self.is_over {
            return None;
        }
        let events = match tokio::time::timeout(ALIVE, self.events()).await {
            Ok(events) => events,
            // A comment, by which both ends know that the other is there.
            Err(_) => Ok(Bytes::from_static(b":\n\n")),
        };
        Some(events.map(|events| {
            self.ready = events;
            pieces::next(&mut self.ready).unwrap_or_default()
        }))
    }

    /// The next events. It can be dropped while it waits.
    async fn events(&mut self) -> io::Result<Bytes> {
        loop {
            if let Log::Live(_, growth) = &mut self.log {
                growth.after(self.after).await;
            }
            // Before anything is read: who waits for room holds nothing.
            let room = self.room().await;
            match self.look().await? {
                Next::Lines(page) => return Ok(self.told(&page, room)),
                Next::Again => {}
                Next::End(state) => {
                    self.is_over = true;
                    let end = serde_json::to_string(&LogEnd { state })?;
                    return Ok(format!("event: end\ndata: {end}\n\n").into());
                }
            }
        }
    }

    async fn room(&self) -> Share {
        loop {
            match self.service.room_for_answer(&self.peer, ROOM) {
                Ok(room) => return room,
                Err(_) => tokio::time::sleep(NO_ROOM).await,
            }
        }
    }

    /// Looks for more lines.
    async fn look(&mut self) -> io::Result<Next> {
        let live = match &self.log {
            Log::Live(live, _) => live.upgrade(),
            Log::Kept(kept, state) if self.after >= kept.lines => return Ok(Next::End(*state)),
            Log::Kept(kept, _) => {
                let page = self.service.page(self.run, *kept, self.after).await;
                let page = page.map_err(|_| broken_off())?;
                return page.map(Next::Lines).ok_or_else(broken_off);
            }
        };
        let Some(live) = live else {
            // It is kept by now.
            let log = self.service.log(&self.peer, self.run).await;
            self.log = log.map_err(|_| broken_off())?;
            return Ok(Next::Again);
        };
        match live.log.after(self.after) {
            (Some(page), _) => Ok(Next::Lines(page)),
            (None, false) => Ok(Next::Again),
            (None, true) => {
                // It is, or in a moment.
                live.ended().await;
                match live.is_over() {
                    true => Ok(Next::End(RunState::Ended)),
                    false => Err(broken_off()),
                }
            }
        }
    }

    /// The lines as events.
    fn told(&mut self, page: &Page, mut room: Share) -> Bytes {
        let lines = page.lines().count();
        let mut events = Vec::with_capacity(page.text.len() + lines * AROUND);
        for (number, line) in page.lines() {
            events.extend_from_slice(format!("event: line\nid: {number}\ndata: ").as_bytes());
            events.extend_from_slice(line);
            events.extend_from_slice(b"\n\n");
        }
        self.after = page.last;
        room.shrink(events.capacity());
        counted(events.into(), room)
    }
}

/// The run was forgotten, or cannot be read. Who reads on finds out which.
fn broken_off() -> io::Error {
    io::Error::other("the log cannot be read on")
}

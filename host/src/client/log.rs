//! Reading a run's log while it is written.

use std::pin::Pin;

use bytes::Bytes;
use eventsource_stream::{Event, EventStreamError, Eventsource as _};
use futures_util::stream::{Stream, StreamExt as _};
use http_body_util::BodyExt as _;

use super::ClientError;
use super::connection::Answer;
use crate::api::{LogEnd, LogEntry};

type Events = Pin<Box<dyn Stream<Item = Result<Event, EventStreamError<hyper::Error>>> + Send>>;

/// The lines of a log, one after the other.
pub struct LogReader {
    events: Events,
    /// Who tells it.
    place: String,
    status: u16,
}

/// What a log says next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// A line.
    Line(LogEntry),
    /// There are no more.
    End(LogEnd),
}

impl LogReader {
    pub(super) fn new(answer: Answer) -> Self {
        let (place, status) = (answer.place.to_string(), answer.response.status().as_u16());
        let body = answer.response.into_body().into_data_stream();
        let events = body.map(|chunk| chunk as Result<Bytes, _>).eventsource();
        Self {
            events: Box::pin(events),
            place,
            status,
        }
    }

    /// The next line, or the end of the log.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the stream broke: read on after the last line, with
    /// [`Client::log`](super::Client::log). [`ClientError::Answer`] when a line cannot be read,
    /// which it cannot the next time either.
    pub async fn next(&mut self) -> Result<LogEvent, ClientError> {
        loop {
            let event = match self.events.next().await {
                Some(Ok(event)) => event,
                Some(Err(error)) => return Err(ClientError::Broken(error.to_string().into())),
                None => {
                    let broken = "the log ended without its end";
                    return Err(ClientError::Broken(broken.into()));
                }
            };
            let read = match event.event.as_str() {
                "line" => serde_json::from_str(&event.data).map(LogEvent::Line),
                "end" => serde_json::from_str(&event.data).map(LogEvent::End),
                // A later version may say more.
                _ => continue,
            };
            return read.map_err(|_| ClientError::Answer {
                place: self.place.clone(),
                status: self.status,
            });
        }
    }
}

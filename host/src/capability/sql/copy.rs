//! Bulk data, as the task writes and reads it.

use std::sync::Arc;

use super::connection::Connection;
use super::postgres::{CopyIn, CopyOut, Fault};
use super::running::{Purpose, Running};
use crate::capability::bindings::cofferdam::capabilities::sql::{Error, ServerError};
use crate::capability::call::Refusal;
use crate::scrub::Scrubber;

/// Most bytes that one `read` returns; the task chooses `max` and the host
/// allocates it.
const MAX_READ: usize = 1 << 20;

/// A `COPY … FROM STDIN` under way.
pub(super) struct Writer {
    connection: Arc<Connection>,
    copy: Option<CopyIn>,
    running: Option<Running>,
    seat: u64,
    failed: Option<Error>,
    sent: u64,
}

/// A `COPY … TO STDOUT` under way.
pub(super) struct Reader {
    copy: Option<CopyOut>,
    running: Option<Running>,
    seat: u64,
    failed: Option<Error>,
    scrubber: Option<Scrubber>,
    ready: Vec<u8>,
    taken: usize,
    received: u64,
    redactions: u64,
}

/// Why it stopped.
enum Stop {
    Fault(Fault),
    Limit(Error),
}

impl Writer {
    /// Begins it.
    pub(super) async fn open(
        connection: &Arc<Connection>,
        statement: String,
    ) -> Result<Self, Error> {
        let running = Running::begin(connection, Purpose::CopyIn, statement, 0).await?;
        let begun = running.live.session.copy_in(running.checked.text());
        match Running::within(running.deadline, begun).await {
            Ok(copy) => Ok(Self {
                connection: Arc::clone(connection),
                copy: Some(copy),
                running: Some(running),
                seat: connection.take_seat(),
                failed: None,
                sent: 0,
            }),
            Err(fault) => Err(running.failed(fault).await),
        }
    }

    /// Hands on the next bytes.
    pub(super) async fn write(&mut self, chunk: Vec<u8>) -> Result<(), Error> {
        let (Some(copy), Some(running)) = (&mut self.copy, &self.running) else {
            return Err(self.over());
        };
        let limit = running.connection.grant().max_bytes;
        self.sent += chunk.len() as u64;
        if self.sent > limit {
            return Err(self.stop(Stop::Limit(Error::TooLarge(limit))).await);
        }
        if chunk.is_empty() {
            return Ok(());
        }
        let written = copy.write(&running.live.session, chunk);
        match Running::within(running.deadline, written).await {
            Ok(()) => Ok(()),
            Err(fault) => Err(self.stop(Stop::Fault(fault)).await),
        }
    }

    /// Ends the data; the rows that were loaded.
    pub(super) async fn finish(&mut self) -> Result<u64, Error> {
        let (Some(copy), Some(running)) = (&mut self.copy, &self.running) else {
            return Err(self.over());
        };
        let finished = copy.finish(&running.live.session);
        match Running::within(running.deadline, finished).await {
            Ok(rows) => {
                self.copy = None;
                if let Some(mut running) = self.running.take() {
                    running.detail("rows", rows);
                    running.detail("bytes_sent", self.sent);
                    running.done();
                }
                self.connection.free_seat(self.seat);
                Ok(rows)
            }
            Err(fault) => Err(self.stop(Stop::Fault(fault)).await),
        }
    }

    /// The task lets go of it; what was not finished is undone.
    pub(super) async fn abandon(mut self) {
        self.copy = None;
        let Some(mut running) = self.running.take() else {
            return;
        };
        running.detail("bytes_sent", self.sent);
        // What the server says of a COPY that is broken off.
        let broken_off = Error::Statement(ServerError {
            sqlstate: "57014".to_owned(),
            position: None,
            message: None,
        });
        self.connection.spoil(&running.live, &broken_off);
        running.abandoned("undone").await;
        self.connection.free_seat(self.seat);
    }

    async fn stop(&mut self, why: Stop) -> Error {
        self.copy = None;
        let Some(mut running) = self.running.take() else {
            return self.over();
        };
        running.detail("bytes_sent", self.sent);
        let error = match why {
            Stop::Fault(fault) => running.failed(fault).await,
            Stop::Limit(error) => running.limited("max_bytes", error).await,
        };
        self.connection.free_seat(self.seat);
        self.failed = Some(error.clone());
        error
    }

    /// It was finished, or has failed.
    fn over(&self) -> Error {
        self.failed.clone().unwrap_or_else(|| {
            let refusal = Refusal::Invalid("copy_over");
            let (attempt, label) = (self.connection.attempt(), self.connection.label());
            Error::Denied(attempt.refuse(label, "copy_in", "", refusal))
        })
    }
}

impl Reader {
    /// Begins it.
    pub(super) async fn open(
        connection: &Arc<Connection>,
        statement: String,
    ) -> Result<Self, Error> {
        let running = Running::begin(connection, Purpose::CopyOut, statement, 0).await?;
        let begun = running.live.session.copy_out(running.checked.text());
        let copy = match Running::within(running.deadline, begun).await {
            Ok(copy) => copy,
            Err(fault) => return Err(running.failed(fault).await),
        };
        let secrets = &connection.attempt().parts().secrets;
        Ok(Self {
            copy: Some(copy),
            running: Some(running),
            seat: connection.take_seat(),
            failed: None,
            scrubber: (!secrets.is_empty()).then(|| secrets.scrubber()),
            ready: Vec::new(),
            taken: 0,
            received: 0,
            redactions: 0,
        })
    }

    /// Up to `max` clean bytes; empty at the end.
    pub(super) async fn read(&mut self, max: u32) -> Result<Vec<u8>, Error> {
        let max = usize::try_from(max).unwrap_or(MAX_READ).clamp(1, MAX_READ);
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        // The server sends a row at a time: gather.
        while self.ready.len() - self.taken < max {
            let (Some(copy), Some(running)) = (&mut self.copy, &self.running) else {
                break;
            };
            let limit = running.connection.grant().max_bytes;
            let next = copy.next(&running.live.session);
            match Running::within(running.deadline, next).await {
                Ok(Some(bytes)) => {
                    self.received += bytes.len() as u64;
                    if self.received > limit {
                        return Err(self.stop(Stop::Limit(Error::TooLarge(limit))).await);
                    }
                    self.take(&bytes);
                }
                Ok(None) => self.end(),
                Err(fault) => return Err(self.stop(Stop::Fault(fault)).await),
            }
        }
        let left = self.ready.get(self.taken..).unwrap_or_default();
        let part = left.get(..max).unwrap_or(left).to_vec();
        self.taken += part.len();
        Ok(part)
    }

    /// The task lets go of it, read to the end or not.
    pub(super) async fn abandon(mut self) {
        self.copy = None;
        if let Some(running) = self.noted() {
            let connection = Arc::clone(&running.connection);
            running.abandoned("not_read_to_end").await;
            connection.free_seat(self.seat);
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.taken > 0 && self.taken == self.ready.len() {
            self.ready.clear();
            self.taken = 0;
        } else if self.taken >= MAX_READ {
            self.ready.drain(..self.taken);
            self.taken = 0;
        }
        match &mut self.scrubber {
            Some(scrubber) => scrubber.push(bytes, &mut self.ready),
            None => self.ready.extend_from_slice(bytes),
        }
    }

    fn end(&mut self) {
        self.copy = None;
        if let Some(scrubber) = self.scrubber.take() {
            self.redactions += scrubber.finish(&mut self.ready);
        }
        if let Some(running) = self.noted() {
            running.connection.free_seat(self.seat);
            running.done();
        }
    }

    async fn stop(&mut self, why: Stop) -> Error {
        self.copy = None;
        let Some(running) = self.noted() else {
            return Error::Busy;
        };
        let connection = Arc::clone(&running.connection);
        let error = match why {
            Stop::Fault(fault) => running.failed(fault).await,
            Stop::Limit(error) => running.limited("max_bytes", error).await,
        };
        connection.free_seat(self.seat);
        self.failed = Some(error.clone());
        error
    }

    /// The statement, with its numbers noted.
    fn noted(&mut self) -> Option<Running> {
        let mut running = self.running.take()?;
        running.detail("bytes_received", self.received);
        running.detail("redactions", self.redactions);
        Some(running)
    }
}

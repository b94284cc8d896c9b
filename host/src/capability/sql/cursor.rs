//! The rows of a statement, as the task reads them.

use std::sync::Arc;

use super::connection::Connection;
use super::postgres::{Prepared, Rows};
use super::running::{Purpose, Running};
use super::scrub;
use crate::capability::bindings::cofferdam::capabilities::sql::{Batch, Column, Error, Value};

/// Most rows of one batch; the task chooses a number and the host allocates.
const MAX_ROWS: u32 = 65_536;

/// Bytes, as the server sent them, after which a batch is full.
const MAX_BYTES: u64 = 1 << 20;

/// A statement whose rows are being read.
pub(super) struct Cursor {
    columns: Vec<Column>,
    rows: Rows,
    /// The statement, until it has ended.
    running: Option<Running>,
    seat: u64,
    failed: Option<Error>,
    read: u64,
    bytes: u64,
    redactions: u64,
}

impl Cursor {
    /// Runs a statement for its rows.
    pub(super) async fn open(
        connection: &Arc<Connection>,
        statement: String,
        parameters: &[Value],
    ) -> Result<Self, Error> {
        let size = scrub::size(parameters);
        let running = Running::begin(connection, Purpose::Query, statement, size).await?;
        let session = Arc::clone(&running.live.session);
        let begun = Running::within(running.deadline, async {
            let prepared = session.prepare(running.checked.text()).await?;
            let rows = session.query(&prepared, parameters).await?;
            Ok((prepared, rows))
        });
        let (prepared, rows): (Arc<Prepared>, Rows) = match begun.await {
            Ok(begun) => begun,
            Err(fault) => return Err(running.failed(fault).await),
        };
        let secrets = &connection.attempt().parts().secrets;
        let mut columns = prepared.named();
        for column in &mut columns {
            column.name = secrets.scrub_text(&column.name);
        }
        Ok(Self {
            columns,
            rows,
            running: Some(running),
            seat: connection.take_seat(),
            failed: None,
            read: 0,
            bytes: 0,
            redactions: 0,
        })
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The next rows; none at the end.
    pub(super) async fn read(&mut self, max_rows: u32) -> Result<Batch, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let Some(running) = &mut self.running else {
            let columns = self.rows.nothing();
            return Ok(Batch { rows: 0, columns });
        };
        let grant = running.connection.grant();
        let (most_rows, most_bytes) = (grant.max_rows, grant.max_bytes);
        // One more than is allowed shows that there are more.
        let left = most_rows.saturating_sub(self.read).saturating_add(1);
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let wanted = max_rows.clamp(1, MAX_ROWS).min(left);
        let session = Arc::clone(&running.live.session);
        let fetching = self.rows.fetch(&session, wanted, MAX_BYTES);
        let fetched = match Running::within(running.deadline, fetching).await {
            Ok(fetched) => fetched,
            Err(fault) => {
                let fault = Err(fault);
                return self.fail(fault).await;
            }
        };
        self.read += u64::from(fetched.rows);
        self.bytes += fetched.bytes;
        if self.read > most_rows {
            return self
                .fail(Ok(("max_rows", Error::TooManyRows(most_rows))))
                .await;
        }
        if self.bytes > most_bytes {
            return self
                .fail(Ok(("max_bytes", Error::TooLarge(most_bytes))))
                .await;
        }
        let mut columns = fetched.columns;
        let secrets = &running.connection.attempt().parts().secrets;
        self.redactions += scrub::columns(&mut columns, secrets);
        if fetched.ended {
            self.end();
        }
        Ok(Batch {
            rows: fetched.rows,
            columns,
        })
    }

    /// The task lets go of it, read to the end or not.
    pub(super) async fn abandon(mut self) {
        let running = self.stop();
        // The driver receives what still comes, and forgets it.
        drop(self.rows);
        if let Some((running, connection)) = running {
            running.abandoned("not_read_to_end").await;
            connection.free_seat(self.seat);
        }
    }

    fn end(&mut self) {
        if let Some((running, connection)) = self.stop() {
            running.done();
            connection.free_seat(self.seat);
        }
    }

    async fn fail<T>(
        &mut self,
        why: Result<(&'static str, Error), super::postgres::Fault>,
    ) -> Result<T, Error> {
        let Some((running, connection)) = self.stop() else {
            return Err(Error::Busy);
        };
        self.rows.forget();
        let error = match why {
            Ok((limit, error)) => running.limited(limit, error).await,
            Err(fault) => running.failed(fault).await,
        };
        connection.free_seat(self.seat);
        self.failed = Some(error.clone());
        Err(error)
    }

    /// The statement, with its numbers noted.
    fn stop(&mut self) -> Option<(Running, Arc<Connection>)> {
        let mut running = self.running.take()?;
        running.detail("rows", self.read);
        running.detail("bytes_received", self.bytes);
        running.detail("redactions", self.redactions);
        let connection = Arc::clone(&running.connection);
        Some((running, connection))
    }
}

/// Runs a statement for its effect; the rows that it touched.
pub(super) async fn execute(
    connection: &Arc<Connection>,
    statement: String,
    parameters: &[Value],
) -> Result<u64, Error> {
    let size = scrub::size(parameters);
    let mut running = Running::begin(connection, Purpose::Execute, statement, size).await?;
    let session = Arc::clone(&running.live.session);
    let executed = Running::within(running.deadline, async {
        let prepared = session.prepare(running.checked.text()).await?;
        session.execute(&prepared, parameters).await
    });
    match executed.await {
        Ok(rows) => {
            running.detail("rows", rows);
            running.done();
            Ok(rows)
        }
        Err(fault) => Err(running.failed(fault).await),
    }
}

//! A session: one connection to the server, logged in.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, Connection, Statement};

use super::cancel::Canceller;
use super::copy::{CopyIn, CopyOut};
use super::encode::{Encoded, encode};
use super::error::Fault;
use super::guard::Guard;
use super::preparing::Preparing;
use super::rows::Rows;
use super::types::{ColumnKind, kind_of};
use crate::capability::bindings::cofferdam::capabilities::sql::{ConnectionError, Value};
use crate::lock::Mutex;

/// Statements that a session keeps prepared.
const PREPARED: usize = 64;

/// Time for a session to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// One connection to the server. It is ended by [`Session::close`]; what is
/// merely dropped ends as well, and does not wait for a statement that runs.
pub(in crate::capability::sql) struct Session {
    user: String,
    client: Mutex<Option<Arc<Client>>>,
    driver: Mutex<Option<JoinHandle<()>>>,
    end: Arc<Mutex<Option<Fault>>>,
    prepared: Mutex<HashMap<String, Arc<Prepared>>>,
    canceller: Canceller,
    preparing: Arc<Preparing>,
    /// Whether a statement runs, or may run.
    running: AtomicBool,
}

/// A statement that the server has parsed.
pub(in crate::capability::sql) struct Prepared {
    pub(super) statement: Statement,
    /// What its columns hold, or the number of the first that cannot be carried.
    pub(super) columns: Result<Arc<[ColumnKind]>, u32>,
}

impl Session {
    /// Starts the task that moves bytes between driver and server.
    pub(super) fn start(
        client: Client,
        connection: Connection<Guard, Guard>,
        canceller: Canceller,
        preparing: Arc<Preparing>,
        user: &str,
    ) -> Self {
        let end = Arc::new(Mutex::new(None));
        let driver = tokio::spawn(drive(connection, Arc::clone(&end)));
        Self {
            user: user.to_owned(),
            client: Mutex::new(Some(Arc::new(client))),
            driver: Mutex::new(Some(driver)),
            end,
            prepared: Mutex::default(),
            canceller,
            preparing,
            running: AtomicBool::new(false),
        }
    }

    /// The name of the database user.
    pub(in crate::capability::sql) fn user(&self) -> &str {
        &self.user
    }

    /// Whether it can take a statement.
    pub(in crate::capability::sql) fn is_open(&self) -> bool {
        let client = self.client.lock();
        client.as_ref().is_some_and(|client| !client.is_closed())
    }

    /// Parses a statement, once for each text.
    pub(in crate::capability::sql) async fn prepare(
        &self,
        text: &str,
    ) -> Result<Arc<Prepared>, Fault> {
        if let Some(known) = self.prepared.lock().get(text) {
            return Ok(Arc::clone(known));
        }
        let client = self.client()?;
        let statement = {
            let _answers = self.preparing.begin();
            self.tracked(client.prepare(text)).await?
        };
        let columns = statement.columns().iter().zip(1..);
        let columns = columns
            .map(|(column, number)| kind_of(column.type_()).ok_or(number))
            .collect();
        let prepared = Arc::new(Prepared { statement, columns });
        let mut cache = self.prepared.lock();
        if cache.len() >= PREPARED {
            cache.clear();
        }
        cache.insert(text.to_owned(), Arc::clone(&prepared));
        Ok(prepared)
    }

    /// Runs a statement for its rows.
    pub(in crate::capability::sql) async fn query(
        &self,
        prepared: &Prepared,
        parameters: &[Value],
    ) -> Result<Rows, Fault> {
        let columns = prepared.columns.clone().map_err(Fault::Column)?;
        let parameters = encode(parameters, prepared.statement.params())?;
        let client = self.client()?;
        self.running.store(true, Ordering::Release);
        let stream = client
            .query_raw(&prepared.statement, parameters)
            .await
            .map_err(|error| self.failed(&error))?;
        Ok(Rows::new(stream, columns))
    }

    /// Runs a statement for its effect; the rows that it touched.
    pub(in crate::capability::sql) async fn execute(
        &self,
        prepared: &Prepared,
        parameters: &[Value],
    ) -> Result<u64, Fault> {
        let parameters: Vec<Encoded> = encode(parameters, prepared.statement.params())?;
        let client = self.client()?;
        self.tracked(async { client.execute_raw(&prepared.statement, parameters).await })
            .await
    }

    /// Runs one of the host's own statements.
    pub(in crate::capability::sql) async fn command(&self, text: &str) -> Result<(), Fault> {
        let client = self.client()?;
        self.tracked(async { client.batch_execute(text).await })
            .await
    }

    /// Begins a `COPY … FROM STDIN`.
    pub(in crate::capability::sql) async fn copy_in(&self, text: &str) -> Result<CopyIn, Fault> {
        let prepared = self.prepare(text).await?;
        let client = self.client()?;
        self.running.store(true, Ordering::Release);
        let sink = client
            .copy_in(&prepared.statement)
            .await
            .map_err(|error| self.failed(&error))?;
        Ok(CopyIn::new(sink))
    }

    /// Begins a `COPY … TO STDOUT`.
    pub(in crate::capability::sql) async fn copy_out(&self, text: &str) -> Result<CopyOut, Fault> {
        let prepared = self.prepare(text).await?;
        let client = self.client()?;
        self.running.store(true, Ordering::Release);
        let stream = client
            .copy_out(&prepared.statement)
            .await
            .map_err(|error| self.failed(&error))?;
        Ok(CopyOut::new(stream))
    }

    /// What an error under way means; nothing runs any more.
    pub(in crate::capability::sql) fn failed(&self, error: &tokio_postgres::Error) -> Fault {
        self.idle();
        Fault::of(error, self.end.lock().clone())
    }

    /// Whether a statement runs, as far as the host has heard.
    pub(in crate::capability::sql) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// Nothing runs any more.
    pub(in crate::capability::sql) fn idle(&self) {
        self.running.store(false, Ordering::Release);
    }

    /// Has the server end what runs. The statement then fails, or ends after all.
    pub(in crate::capability::sql) async fn cancel(&self) -> bool {
        self.canceller.cancel().await
    }

    /// Waits until the server is done with everything that was sent before.
    pub(in crate::capability::sql) async fn settle(&self) -> Result<(), Fault> {
        self.command("").await
    }

    /// Ends the session: what runs is cancelled on the server, then the
    /// connection is closed. Bounded in time.
    pub(in crate::capability::sql) async fn close(&self) {
        let client = self.client.lock().take();
        if client.is_none() {
            return;
        }
        self.prepared.lock().clear();
        if self.running.load(Ordering::Acquire) && !self.canceller.cancel().await {
            tracing::warn!("a statement could not be cancelled on the server");
        }
        // Without a client the driver says goodbye and closes.
        drop(client);
        let Some(mut driver) = self.driver.lock().take() else {
            return;
        };
        if timeout(GOODBYE, &mut driver).await.is_err() {
            driver.abort();
        }
    }

    fn client(&self) -> Result<Arc<Client>, Fault> {
        let client = self.client.lock().clone();
        client.ok_or_else(|| self.ended())
    }

    fn ended(&self) -> Fault {
        let end = self.end.lock().clone();
        end.unwrap_or(Fault::Lost(ConnectionError::Reset))
    }

    /// Awaits an exchange with the server. Dropped before its end, it leaves a
    /// statement that runs.
    async fn tracked<T>(
        &self,
        exchange: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Fault> {
        self.running.store(true, Ordering::Release);
        let done = exchange.await;
        self.idle();
        done.map_err(|error| self.failed(&error))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.get_mut()
            && self.running.load(Ordering::Acquire)
        {
            driver.abort();
        }
    }
}

/// Moves bytes until the connection ends. What the server says beside the
/// statements (notices, notifications) can hold the data of others; it is dropped.
async fn drive(mut connection: Connection<Guard, Guard>, end: Arc<Mutex<Option<Fault>>>) {
    loop {
        match poll_fn(|cx| connection.poll_message(cx)).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                *end.lock() = Some(Fault::of(&error, None));
                return;
            }
            None => return,
        }
    }
}

//! Bulk data, in and out.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio_postgres::{CopyInSink, CopyOutStream};

use super::error::Fault;
use super::session::Session;
use crate::capability::bindings::cofferdam::capabilities::sql::ConnectionError;

/// A `COPY … FROM STDIN` under way. Dropped before its end it is undone.
pub(in crate::capability::sql) struct CopyIn(Pin<Box<CopyInSink<Bytes>>>);

impl CopyIn {
    pub(super) fn new(sink: CopyInSink<Bytes>) -> Self {
        Self(Box::pin(sink))
    }

    /// Hands on the next bytes; waits while the server is behind.
    pub(in crate::capability::sql) async fn write(
        &mut self,
        session: &Session,
        chunk: Vec<u8>,
    ) -> Result<(), Fault> {
        let sent = self.0.feed(Bytes::from(chunk)).await;
        match sent {
            Ok(()) => Ok(()),
            // The server ended it early; it says why when asked for the result.
            Err(_) => match self.finish(session).await {
                Ok(_) => Err(Fault::Lost(ConnectionError::Protocol)),
                Err(fault) => Err(fault),
            },
        }
    }

    /// Ends the data; the rows that were loaded.
    pub(in crate::capability::sql) async fn finish(
        &mut self,
        session: &Session,
    ) -> Result<u64, Fault> {
        match self.0.as_mut().finish().await {
            Ok(rows) => {
                session.idle();
                Ok(rows)
            }
            Err(error) => Err(session.failed(&error)),
        }
    }
}

/// A `COPY … TO STDOUT` under way.
pub(in crate::capability::sql) struct CopyOut(Pin<Box<CopyOutStream>>);

impl CopyOut {
    pub(super) fn new(stream: CopyOutStream) -> Self {
        Self(Box::pin(stream))
    }

    /// The next bytes; none at the end.
    pub(in crate::capability::sql) async fn next(
        &mut self,
        session: &Session,
    ) -> Result<Option<Bytes>, Fault> {
        match self.0.next().await {
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(error)) => Err(session.failed(&error)),
            None => {
                session.idle();
                Ok(None)
            }
        }
    }
}

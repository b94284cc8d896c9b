//! The rows of a query, a batch at a time.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::{Connection, Error, Row};
use crate::bindings::cofferdam::capabilities::sql as host;

/// Most rows of a batch. The host sends fewer when they are large.
const BATCH: u32 = 4096;

/// The rows of a query as `T`. It holds one batch; after an error it is at its end.
#[derive(Debug)]
pub struct Rows<'c, T> {
    /// None once the end is reached, so that the connection is free again.
    cursor: Option<host::Cursor>,
    columns: Vec<host::Column>,
    batch: host::Batch,
    next: usize,
    subject: String,
    statement: String,
    connection: PhantomData<&'c Connection>,
    row: PhantomData<fn() -> T>,
}

impl<T> Rows<'_, T> {
    pub(super) fn new(cursor: host::Cursor, subject: String, statement: &str) -> Self {
        Self {
            columns: cursor.columns(),
            cursor: Some(cursor),
            batch: host::Batch {
                rows: 0,
                columns: Vec::new(),
            },
            next: 0,
            subject,
            statement: statement.to_owned(),
            connection: PhantomData,
            row: PhantomData,
        }
    }

    /// The names of the columns.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// Takes in the next batch; false at the end.
    fn advance(&mut self) -> Result<bool, Error> {
        let Some(cursor) = &self.cursor else {
            return Ok(false);
        };
        match cursor.read(BATCH) {
            Ok(batch) => {
                let more = batch.rows > 0;
                if !more {
                    self.cursor = None;
                }
                self.batch = batch;
                self.next = 0;
                Ok(more)
            }
            Err(error) => {
                self.cursor = None;
                Err(Error::new(error, &self.subject, &self.statement))
            }
        }
    }
}

impl<T: DeserializeOwned> Iterator for Rows<'_, T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = usize::try_from(self.batch.rows).unwrap_or_default();
        if self.next >= rows {
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
        let row = Row::new(&self.columns, &self.batch, self.next);
        self.next += 1;
        let decoded = T::deserialize(row).map_err(Error::Decode);
        if decoded.is_err() {
            self.cursor = None;
            self.batch.rows = 0;
        }
        Some(decoded)
    }
}

//! The rows of a statement.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Row, RowStream};

use super::decode::{Column, Undecoded};
use super::error::Fault;
use super::session::Session;
use super::types::ColumnKind;
use crate::capability::bindings::cofferdam::capabilities::sql::{
    Column as Named, ColumnValues, ConnectionError,
};

/// A statement's rows under way.
pub(in crate::capability::sql) struct Rows {
    /// None once the task has let go of it.
    stream: Option<Pin<Box<RowStream>>>,
    columns: Arc<[ColumnKind]>,
}

/// Some rows.
pub(in crate::capability::sql) struct Fetched {
    pub(in crate::capability::sql) rows: u32,
    /// As the server sent them, in bytes.
    pub(in crate::capability::sql) bytes: u64,
    pub(in crate::capability::sql) columns: Vec<ColumnValues>,
    /// Whether these are the last.
    pub(in crate::capability::sql) ended: bool,
}

impl Rows {
    pub(super) fn new(stream: RowStream, columns: Arc<[ColumnKind]>) -> Self {
        Self {
            stream: Some(Box::pin(stream)),
            columns,
        }
    }

    /// The next rows: at most `max_rows`, and none after `max_bytes` are full.
    pub(in crate::capability::sql) async fn fetch(
        &mut self,
        session: &Session,
        max_rows: u32,
        max_bytes: u64,
    ) -> Result<Fetched, Fault> {
        let kinds = self.columns.iter();
        let mut columns: Vec<Column> = kinds.map(|kind| Column::new(*kind)).collect();
        let (mut rows, mut bytes, mut ended) = (0, 0, false);
        while rows < max_rows && bytes < max_bytes {
            let next = match &mut self.stream {
                Some(stream) => stream.next().await,
                None => None,
            };
            match next {
                Some(Ok(row)) => {
                    add(&mut columns, &row)?;
                    rows += 1;
                    bytes += row.raw_size_bytes() as u64;
                }
                Some(Err(error)) => return Err(session.failed(&error)),
                None => {
                    session.idle();
                    ended = true;
                    break;
                }
            }
        }
        Ok(Fetched {
            rows,
            bytes,
            columns: columns.into_iter().map(Column::finish).collect(),
            ended,
        })
    }

    /// The columns of no rows.
    pub(in crate::capability::sql) fn nothing(&self) -> Vec<ColumnValues> {
        let kinds = self.columns.iter();
        kinds.map(|kind| Column::new(*kind).finish()).collect()
    }

    /// Reads no more: the driver receives what still comes, and drops it.
    pub(in crate::capability::sql) fn forget(&mut self) {
        self.stream = None;
    }
}

fn add(columns: &mut [Column], row: &Row) -> Result<(), Fault> {
    let malformed = Fault::Lost(ConnectionError::Protocol);
    for (at, column) in columns.iter_mut().enumerate() {
        let Ok(value) = row.try_get::<_, Option<Raw<'_>>>(at) else {
            return Err(malformed);
        };
        match column.push(value.map(|raw| raw.0)) {
            Ok(()) => {}
            Err(Undecoded::Malformed) => return Err(malformed),
            Err(Undecoded::Foreign) => {
                return Err(Fault::Column(u32::try_from(at + 1).unwrap_or(u32::MAX)));
            }
        }
    }
    Ok(())
}

/// A value as it was sent.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl super::session::Prepared {
    /// The columns as the contract names them.
    pub(in crate::capability::sql) fn named(&self) -> Vec<Named> {
        let kinds = self.columns.as_deref().unwrap_or_default();
        let columns = self.statement.columns().iter();
        columns
            .zip(kinds)
            .map(|(column, kind)| Named {
                name: column.name().to_owned(),
                data_type: kind.data_type(),
                is_array: kind.is_array,
            })
            .collect()
    }
}

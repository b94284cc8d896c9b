//! Probes of the capability `sql`, on the bare contract.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cofferdam_guest::__private::bindings::cofferdam::capabilities::{sql, types};
use cofferdam_guest::TaskError;
use cofferdam_guest::sql::Connection;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Base;

/// One thing to do, chosen by the field `do`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Sql {
    /// Opens a grant and takes steps one after the other, whatever comes of
    /// them; returns a list with what came of each.
    Sql {
        grant: String,
        steps: Vec<Step>,
        /// What to do afterwards, in place of returning the list. What is open
        /// stays open.
        then: Option<Base>,
    },
}

/// One step.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Opens the grant again; later steps use this connection.
    Open {},
    /// Opens another grant by name and drops it.
    Other(String),
    /// Runs a statement and reads its rows.
    Query(Query),
    /// Reads all rows of an `int` and a text through the SDK, on a connection of
    /// its own; returns the number of rows and the bytes of the texts.
    Rows { sql: String },
    /// Runs a statement.
    Execute {
        sql: String,
        #[serde(default)]
        params: Vec<Parameter>,
        /// How often.
        #[serde(default = "once")]
        times: u32,
    },
    /// Begins a transaction.
    Begin {
        #[serde(default)]
        serializable: bool,
        #[serde(default)]
        read_only: bool,
    },
    /// Commits the newest transaction.
    Commit {},
    /// Rolls it back.
    Rollback {},
    /// Drops it.
    DropTransaction {},
    /// Loads data.
    CopyIn {
        sql: String,
        chunks: Vec<String>,
        /// How often the chunks are written.
        #[serde(default = "once")]
        times: u32,
        /// Drops it instead of finishing it.
        #[serde(default)]
        leave: bool,
    },
    /// Reads data.
    CopyOut {
        sql: String,
        #[serde(default = "kib_64")]
        max: u32,
        /// Returns the number of bytes only.
        #[serde(default)]
        count: bool,
    },
    /// Reads the cursor that a query kept.
    ReadKept { rows: u32 },
    /// Drops the cursor that a query kept.
    DropKept {},
    /// Sleeps.
    Sleep { ms: u64 },
    /// Drops the connection that is used.
    Close {},
}

/// A statement whose rows are read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    sql: String,
    #[serde(default)]
    params: Vec<Parameter>,
    /// Rows of each batch.
    #[serde(default = "thousand")]
    batch: u32,
    /// Returns the number of rows only.
    #[serde(default)]
    count: bool,
    /// Reads nothing, and keeps the cursor.
    #[serde(default)]
    keep: bool,
}

/// A parameter.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Parameter {
    Null,
    Boolean(bool),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Float64(f64),
    Numeric(String),
    Text(String),
    /// A text of this many bytes.
    Long(usize),
    Bytes(String),
    Uuid(String),
    Date(i32),
    Timestamptz(i64),
    Json(String),
    Int64s(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
}

fn once() -> u32 {
    1
}

fn thousand() -> u32 {
    1_000
}

fn kib_64() -> u32 {
    65_536
}

/// What is open.
#[derive(Default)]
struct Open {
    connections: Vec<sql::Connection>,
    transaction: Option<sql::Transaction>,
    kept: Option<sql::Cursor>,
}

impl Sql {
    /// Does it. Returns what is to be done next, if anything; what is open is
    /// open until then.
    pub fn run(
        self,
        next: impl FnOnce(Base) -> Result<Value, TaskError>,
    ) -> Result<Value, TaskError> {
        let Self::Sql { grant, steps, then } = self;
        let mut open = Open::default();
        match sql::open(&grant) {
            Ok(connection) => open.connections.push(connection),
            Err(failure) => return Ok(json!([denied(&failure)])),
        }
        let mut answers = Vec::new();
        for step in steps {
            answers.push(match open.take(&grant, step) {
                Ok(answer) => answer,
                Err(error) => failed(&error),
            });
        }
        let answer = match then {
            Some(base) => next(base),
            None => Ok(json!(answers)),
        };
        // The children go before what they belong to.
        drop(open.kept.take());
        drop(open.transaction.take());
        answer
    }
}

impl Open {
    fn take(&mut self, grant: &str, step: Step) -> Result<Value, sql::Error> {
        match step {
            Step::Open {} => {
                let connection = sql::open(grant).map_err(sql::Error::Denied)?;
                self.connections.push(connection);
                Ok(json!({"open": self.connections.len()}))
            }
            Step::Other(grant) => {
                sql::open(&grant).map_err(sql::Error::Denied)?;
                Ok(json!({"open": grant}))
            }
            Step::Query(query) => self.query(query),
            Step::Rows { sql } => Ok(rows(grant, &sql)),
            Step::Execute { sql, params, times } => {
                let params = values(params);
                let mut rows = 0;
                for _ in 0..times {
                    rows += self.connection()?.execute(&sql, &params)?;
                }
                Ok(json!({"rows": rows}))
            }
            Step::Begin {
                serializable,
                read_only,
            } => {
                let isolation = if serializable {
                    sql::Isolation::Serializable
                } else {
                    sql::Isolation::ReadCommitted
                };
                let begun = self.connection()?.begin(isolation, read_only)?;
                self.transaction = Some(begun);
                Ok(json!("begun"))
            }
            Step::Commit {} => {
                self.transaction()?.commit()?;
                Ok(json!("committed"))
            }
            Step::Rollback {} => {
                self.transaction()?.rollback()?;
                Ok(json!("rolled back"))
            }
            Step::DropTransaction {} => {
                self.transaction = None;
                Ok(json!("dropped"))
            }
            Step::CopyIn {
                sql,
                chunks,
                times,
                leave,
            } => {
                let copy = self.connection()?.copy_in(&sql)?;
                for _ in 0..times {
                    for chunk in &chunks {
                        copy.write(chunk.as_bytes())?;
                    }
                }
                if leave {
                    return Ok(json!("left"));
                }
                Ok(json!({"rows": copy.finish()?}))
            }
            Step::CopyOut { sql, max, count } => {
                let copy = self.connection()?.copy_out(&sql)?;
                let (mut data, mut bytes) = (Vec::new(), 0);
                loop {
                    let chunk = copy.read(max)?;
                    if chunk.is_empty() {
                        break;
                    }
                    bytes += chunk.len();
                    if !count {
                        data.extend(chunk);
                    }
                }
                Ok(json!({"bytes": bytes, "text": String::from_utf8_lossy(&data)}))
            }
            Step::ReadKept { rows } => match &self.kept {
                Some(cursor) => Ok(json!({"rows": cursor.read(rows)?.rows})),
                None => Ok(json!("nothing is kept")),
            },
            Step::DropKept {} => {
                self.kept = None;
                Ok(json!("dropped"))
            }
            Step::Sleep { ms } => {
                std::thread::sleep(Duration::from_millis(ms));
                Ok(json!("slept"))
            }
            Step::Close {} => {
                self.connections.pop();
                Ok(json!("closed"))
            }
        }
    }

    fn connection(&self) -> Result<&sql::Connection, sql::Error> {
        self.connections.last().ok_or(sql::Error::Busy)
    }

    fn transaction(&self) -> Result<&sql::Transaction, sql::Error> {
        self.transaction.as_ref().ok_or(sql::Error::Busy)
    }

    fn query(&mut self, query: Query) -> Result<Value, sql::Error> {
        let params = values(query.params);
        let cursor = self.connection()?.query(&query.sql, &params)?;
        let columns: Vec<_> = cursor
            .columns()
            .into_iter()
            .map(|column| {
                let array = if column.is_array { "[]" } else { "" };
                json!([column.name, format!("{:?}{array}", column.data_type)])
            })
            .collect();
        if query.keep {
            self.kept = Some(cursor);
            return Ok(json!({"columns": columns}));
        }
        let (mut rows, mut number) = (Vec::new(), 0_u64);
        loop {
            let batch = cursor.read(query.batch)?;
            if batch.rows == 0 {
                break;
            }
            number += u64::from(batch.rows);
            if !query.count {
                for row in 0..batch.rows as usize {
                    let cells = batch.columns.iter().map(|column| cell(column, row));
                    rows.push(json!(cells.collect::<Vec<_>>()));
                }
            }
        }
        if query.count {
            return Ok(json!({"rows": number}));
        }
        Ok(json!({"columns": columns, "rows": rows}))
    }
}

/// As a task would: a row is a tuple, and `?` has the error.
fn rows(grant: &str, statement: &str) -> Value {
    let read = || -> Result<Value, TaskError> {
        let connection = Connection::open(grant)?;
        let (mut rows, mut bytes) = (0_u64, 0);
        for row in connection.query::<(i32, String)>(statement, &[])? {
            let (_id, text) = row?;
            rows += 1;
            bytes += text.len();
        }
        Ok(json!({"rows": rows, "bytes": bytes}))
    };
    read().unwrap_or_else(|error| json!({"error": error.to_string()}))
}

fn values(parameters: Vec<Parameter>) -> Vec<sql::Value> {
    parameters
        .into_iter()
        .map(|parameter| match parameter {
            Parameter::Null => sql::Value::Null,
            Parameter::Boolean(value) => sql::Value::Boolean(value),
            Parameter::Int16(value) => sql::Value::Int16(value),
            Parameter::Int32(value) => sql::Value::Int32(value),
            Parameter::Int64(value) => sql::Value::Int64(value),
            Parameter::Float64(value) => sql::Value::Float64(value),
            Parameter::Numeric(text) => sql::Value::Numeric(text),
            Parameter::Text(text) => sql::Value::Text(text),
            Parameter::Long(length) => sql::Value::Text("x".repeat(length)),
            Parameter::Bytes(text) => sql::Value::Bytes(text.into_bytes()),
            Parameter::Uuid(text) => sql::Value::Uuid(text),
            Parameter::Date(days) => sql::Value::Date(days),
            Parameter::Timestamptz(micros) => sql::Value::Timestamptz(micros),
            Parameter::Json(text) => sql::Value::Json(text),
            Parameter::Int64s(list) => sql::Value::Array(sql::Series {
                nulls: list.iter().map(Option::is_none).collect(),
                values: sql::Values::Int64(
                    list.into_iter().map(Option::unwrap_or_default).collect(),
                ),
            }),
            Parameter::Texts(list) => {
                let nulls = list.iter().map(Option::is_none).collect();
                let mut packed = sql::Packed {
                    data: Vec::new(),
                    ends: Vec::new(),
                };
                for text in list {
                    packed.data.extend(text.unwrap_or_default().into_bytes());
                    packed
                        .ends
                        .push(u32::try_from(packed.data.len()).unwrap_or(u32::MAX));
                }
                sql::Value::Array(sql::Series {
                    nulls,
                    values: sql::Values::Text(packed),
                })
            }
        })
        .collect()
}

/// One value as JSON; bytes in base64, numbers of 64 bits as numbers.
fn cell(column: &sql::ColumnValues, row: usize) -> Value {
    match column {
        sql::ColumnValues::Scalars(series) => element(series, row),
        sql::ColumnValues::Arrays(arrays) => {
            if arrays.nulls.get(row).copied().unwrap_or(false) {
                return Value::Null;
            }
            let end = arrays.ends.get(row).copied().unwrap_or(0) as usize;
            let before = row.checked_sub(1).and_then(|at| arrays.ends.get(at));
            let start = before.copied().unwrap_or(0) as usize;
            json!(
                (start..end)
                    .map(|at| element(&arrays.elements, at))
                    .collect::<Vec<_>>()
            )
        }
    }
}

fn element(series: &sql::Series, at: usize) -> Value {
    if series.nulls.get(at).copied().unwrap_or(false) {
        return Value::Null;
    }
    let text = |packed: &sql::Packed| json!(String::from_utf8_lossy(bytes(packed, at)));
    match &series.values {
        sql::Values::Boolean(list) => json!(list.get(at)),
        sql::Values::Int16(list) => json!(list.get(at)),
        sql::Values::Int32(list) | sql::Values::Date(list) => json!(list.get(at)),
        sql::Values::Int64(list)
        | sql::Values::Time(list)
        | sql::Values::Timestamp(list)
        | sql::Values::Timestamptz(list) => json!(list.get(at)),
        sql::Values::Float32(list) => json!(list.get(at)),
        sql::Values::Float64(list) => json!(list.get(at)),
        sql::Values::Interval(list) => {
            json!(list.get(at).map(|it| (it.months, it.days, it.microseconds)))
        }
        sql::Values::Bytes(packed) => json!(STANDARD.encode(bytes(packed, at))),
        sql::Values::Numeric(packed)
        | sql::Values::Text(packed)
        | sql::Values::Uuid(packed)
        | sql::Values::Json(packed) => text(packed),
    }
}

fn bytes(packed: &sql::Packed, at: usize) -> &[u8] {
    let end = packed.ends.get(at).copied().unwrap_or(0) as usize;
    let before = at.checked_sub(1).and_then(|at| packed.ends.get(at));
    let start = before.copied().unwrap_or(0) as usize;
    packed.data.get(start..end).unwrap_or_default()
}

/// An error by its names in the WIT contract.
fn failed(error: &sql::Error) -> Value {
    match error {
        sql::Error::Denied(failure) => denied(failure),
        sql::Error::Connection(kind) => json!({"error": "connection", "kind": word(kind)}),
        sql::Error::Busy => json!({"error": "busy"}),
        sql::Error::Timeout => json!({"error": "timeout"}),
        sql::Error::Constraint(server) => said("constraint", server),
        sql::Error::Syntax(server) => said("syntax", server),
        sql::Error::Conflict(server) => said("conflict", server),
        sql::Error::Unavailable(server) => said("unavailable", server),
        sql::Error::Statement(server) => said("statement", server),
        sql::Error::Parameter(number) => json!({"error": "parameter", "number": number}),
        sql::Error::Column(number) => json!({"error": "column", "number": number}),
        sql::Error::TooManyRows(limit) => json!({"error": "too-many-rows", "limit": limit}),
        sql::Error::TooLarge(limit) => json!({"error": "too-large", "limit": limit}),
    }
}

fn said(error: &str, server: &sql::ServerError) -> Value {
    json!({
        "error": error,
        "sqlstate": server.sqlstate,
        "position": server.position,
        "message": server.message,
    })
}

fn denied(failure: &types::Failure) -> Value {
    json!({
        "error": "denied",
        "kind": word(&failure.kind),
        "retryable": failure.retryable,
        "audit_ref": failure.audit_ref,
    })
}

/// `Denial::NotGranted` is `not-granted`.
fn word(value: &impl std::fmt::Debug) -> String {
    let mut word = String::new();
    let text = format!("{value:?}");
    let last = text.rsplit("::").next().unwrap_or_default();
    for letter in last.chars() {
        if letter.is_ascii_uppercase() && !word.is_empty() {
            word.push('-');
        }
        word.push(letter.to_ascii_lowercase());
    }
    word
}

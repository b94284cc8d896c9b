//! The `[sql.NAME]` table as written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;

use super::gate::{FunctionName, Gate, Rules, SchemaName, TableName, TypeName, Verb};
use super::{Server, SqlGrant};
use crate::capability::credential::{GrantedCredential, RawCredential};
use crate::capability::field::{FieldError, shown};
use crate::capability::network::Network;
use crate::certificates;

/// Default and largest time of one statement.
const TIMEOUT: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(86_400));

/// Default and largest number of rows that one statement may return.
const ROWS: (u64, u64) = (1_000_000, 10_000_000_000);

/// Default and largest number of bytes that one statement may return or load.
const BYTES: (u64, u64) = (64 << 20, 1 << 40);

/// Default and largest number of connections: a server has a hundred by default.
const CONNECTIONS: (usize, usize) = (1, 16);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSqlGrant {
    server: String,
    credential: RawCredential,
    #[serde(default)]
    network: Network,
    #[serde(default)]
    plain: bool,
    ca: Option<String>,
    allow: Vec<Verb>,
    tables: Vec<TableName>,
    #[serde(default)]
    schema: SchemaName,
    #[serde(default)]
    functions: Vec<FunctionName>,
    #[serde(default)]
    types: Vec<TypeName>,
    statement_timeout: Option<String>,
    max_rows: Option<u64>,
    max_bytes: Option<String>,
    max_connections: Option<usize>,
    #[serde(default)]
    show_messages: bool,
    #[serde(default)]
    audit_text: bool,
}

impl TryFrom<RawSqlGrant> for SqlGrant {
    type Error = FieldError;

    fn try_from(raw: RawSqlGrant) -> Result<Self, FieldError> {
        let server = Server::parse(&raw.server, raw.network)?;
        transport(&server, &raw)?;
        let GrantedCredential { source, field } = raw.credential.try_into()?;
        if field.is_some() {
            return Err(FieldError::new(
                "credential.field",
                "has no meaning here: the fields `username` and `password` are used; leave it out",
            ));
        }
        let rules = Rules {
            allow: verbs(&raw.allow)?,
            tables: tables(raw.tables)?,
            schema: raw.schema,
            functions: raw.functions.into_iter().collect(),
            types: raw.types.into_iter().collect(),
        };
        Ok(Self {
            server,
            credential: source,
            network: raw.network,
            plain: raw.plain,
            ca: raw.ca.as_deref().map(certificates).transpose()?,
            gate: Arc::new(Gate::new(rules.clone())),
            rules,
            statement_timeout: timeout(raw.statement_timeout.as_deref())?,
            max_rows: rows(raw.max_rows)?,
            max_bytes: bytes(raw.max_bytes.as_deref())?,
            max_connections: connections(raw.max_connections)?,
            show_messages: raw.show_messages,
            audit_text: raw.audit_text,
        })
    }
}

/// A password crosses a network under TLS only.
fn transport(server: &Server, raw: &RawSqlGrant) -> Result<(), FieldError> {
    let inside = server.is_local() || raw.network == Network::Loopback;
    match (raw.plain, server.is_local()) {
        (true, _) if !inside => Err(FieldError::new(
            "plain",
            "is only for `network = \"loopback\"` and for a socket: across a network the connection needs TLS",
        )),
        (false, true) => Err(FieldError::new(
            "plain",
            "must be `true` for a socket, which has no TLS",
        )),
        (true, _) if raw.ca.is_some() => Err(FieldError::new(
            "ca",
            "has no use on a plain connection; leave out either it or `plain`",
        )),
        _ => Ok(()),
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, FieldError> {
    certificates::chain(pem.as_bytes()).map_err(|_| {
        FieldError::new(
            "ca",
            "holds no certificate; paste the PEM text of the authority that signed the server's",
        )
    })
}

fn verbs(written: &[Verb]) -> Result<BTreeSet<Verb>, FieldError> {
    let verbs: BTreeSet<_> = written.iter().copied().collect();
    if verbs.is_empty() {
        return Err(FieldError::new(
            "allow",
            "is empty; name at least one of `select`, `insert`, `update`, `delete`, `merge`, `copy_in`, `copy_out`",
        ));
    }
    if verbs.len() != written.len() {
        return Err(FieldError::new("allow", "names a verb twice"));
    }
    Ok(verbs)
}

fn tables(written: Vec<TableName>) -> Result<BTreeSet<TableName>, FieldError> {
    if written.is_empty() {
        return Err(FieldError::new(
            "tables",
            "is empty; name at least one table, such as `\"public.invoices\"`",
        ));
    }
    let (number, tables) = (written.len(), written.into_iter().collect::<BTreeSet<_>>());
    if tables.len() != number {
        return Err(FieldError::new("tables", "names a table twice"));
    }
    Ok(tables)
}

fn timeout(text: Option<&str>) -> Result<Duration, FieldError> {
    let (default, most) = TIMEOUT;
    let Some(text) = text else { return Ok(default) };
    match humantime::parse_duration(text) {
        Ok(time) if time >= Duration::from_millis(1) && time <= most => Ok(time),
        _ => Err(FieldError::new(
            "statement_timeout",
            format!(
                "is `{}`; expected a time from 1ms to 24h, such as `\"30s\"`",
                shown(text)
            ),
        )),
    }
}

fn rows(number: Option<u64>) -> Result<u64, FieldError> {
    let (default, most) = ROWS;
    match number.unwrap_or(default) {
        0 => Err(FieldError::new("max_rows", "is 0; allow at least one row")),
        number if number > most => Err(FieldError::new(
            "max_rows",
            format!("is {number}; the most is {most}"),
        )),
        number => Ok(number),
    }
}

fn bytes(text: Option<&str>) -> Result<u64, FieldError> {
    let (default, most) = BYTES;
    let Some(text) = text else { return Ok(default) };
    match text.parse::<ByteSize>() {
        Ok(size) if (1..=most).contains(&size.as_u64()) => Ok(size.as_u64()),
        _ => Err(FieldError::new(
            "max_bytes",
            format!(
                "is `{}`; expected a size up to 1TiB, such as `\"64MiB\"`",
                shown(text)
            ),
        )),
    }
}

fn connections(number: Option<usize>) -> Result<usize, FieldError> {
    let (default, most) = CONNECTIONS;
    match number.unwrap_or(default) {
        number if (1..=most).contains(&number) => Ok(number),
        number => Err(FieldError::new(
            "max_connections",
            format!("is {number}; expected 1 to {most}"),
        )),
    }
}

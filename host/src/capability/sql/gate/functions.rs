//! The functions of PostgreSQL that only compute.

use std::collections::HashSet;
use std::sync::LazyLock;

/// One name a line; `tests/server.rs` asks a real server what each of them is.
const LIST: &str = include_str!("functions.txt");

static HARMLESS: LazyLock<HashSet<&str>> = LazyLock::new(|| names().collect());

/// Whether every overload of a function in `pg_catalog` only computes from its
/// arguments, the clock or chance: it reads no table, file or setting, writes
/// nothing, runs no text as SQL, waits for nothing and tells nothing of other
/// sessions; but for `age` of a transaction id, which tells how many of those
/// the server has given out since.
pub(super) fn is_harmless(name: &str) -> bool {
    HARMLESS.contains(name)
}

/// PostgreSQL's functions of one row that are not in the list. None does harm,
/// but none was granted either.
pub(super) const OF_ROWS: [&str; 13] = [
    "any_out",
    "anycompatible_out",
    "anycompatiblenonarray_out",
    "anyelement_out",
    "anynonarray_out",
    "hash_record",
    "pg_collation_for",
    "pg_column_compression",
    "pg_column_size",
    "pg_column_toast_chunk_id",
    "pg_typeof",
    "record_out",
    "record_send",
];

/// Whether a name calls one of these when it stands as a column of a table that
/// has no such column.
pub(super) fn is_of_rows(name: &str) -> bool {
    OF_ROWS.contains(&name)
}

/// What a harmless function returns, for one that stands in `FROM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Always rows.
    Rows,
    /// One value, as a column of this name.
    Column(&'static str),
    /// One value, as a column that is called like the function in `FROM`; or
    /// rows, for an argument that holds rows.
    Plain,
}

impl Shape {
    /// Of a function of `pg_catalog`; `None` if it is not in the list.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "json_each" | "json_each_text" | "jsonb_each" | "jsonb_each_text"
            | "json_to_record" | "json_to_recordset" | "jsonb_to_record" | "jsonb_to_recordset" => {
                Self::Rows
            }
            "json_array_elements"
            | "json_array_elements_text"
            | "jsonb_array_elements"
            | "jsonb_array_elements_text" => Self::Column("value"),
            _ if is_harmless(name) => Self::Plain,
            _ => return None,
        })
    }
}

/// All of them.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    LIST.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

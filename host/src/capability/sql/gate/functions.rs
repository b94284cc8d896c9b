//! The functions of PostgreSQL that only compute.

use std::collections::HashSet;
use std::sync::LazyLock;

/// One name a line; `tests/sql` asks a real server what each of them is.
const LIST: &str = include_str!("functions.txt");

static HARMLESS: LazyLock<HashSet<&str>> = LazyLock::new(|| names().collect());

/// Whether every overload of a function in `pg_catalog` only computes from its
/// arguments, the clock or chance: it reads no table, file or setting, writes
/// nothing, runs no text as SQL, waits for nothing and tells nothing of other
/// sessions.
pub(super) fn is_harmless(name: &str) -> bool {
    HARMLESS.contains(name)
}

/// All of them.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    LIST.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

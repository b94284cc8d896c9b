//! Tests of the capability against a real PostgreSQL and against servers of
//! ours; `tests/sql` runs whole attempts.

mod grants;
mod rogue;
mod types;

//! Tests of the capability that need no server; `tests/sql` has the rest.

mod grants;

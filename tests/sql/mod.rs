//! The capability `sql`: whole attempts against a real PostgreSQL, whose users
//! a real OpenBao makes.

mod exits;
mod expiry;
mod fences;
mod guide;
mod handles;
mod large;
mod neighbours;
mod rights;
mod secrets;
mod settings;
mod statements;
mod trouble;
pub(crate) mod world;

//! Credentials with a lease: users of a real PostgreSQL that a real OpenBao
//! makes for one attempt.

mod crowd;
mod exits;
mod guide;
mod kills;
mod renewal;
mod rotation;
mod secrecy;
mod trouble;
mod world;

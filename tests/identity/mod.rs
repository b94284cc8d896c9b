//! Attempts that log in to Vault as themselves, against a real server.

mod guide;
mod hunt;
mod keys;
mod kills;
mod leases;
mod mismatches;
mod neighbours;
mod refusals;
pub(crate) mod site;
mod stage;
mod threats;
mod working;

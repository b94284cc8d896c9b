//! The Vault session against a real OpenBao, checked with its root token.

mod capabilities;
mod closing;
mod faults;
mod log_in;
mod minting;
mod policies;
mod round_trips;
mod sharing;
mod sweeping;
mod trouble;
pub(crate) mod world;

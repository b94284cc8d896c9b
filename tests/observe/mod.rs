//! What an operator sees of a run from outside: in Vault's own audit, in
//! numbers, in the host's log, in traces.

mod headers;
mod log;
mod numbers;
pub(crate) mod traces;
mod trouble;
pub(crate) mod world;

//! What the probing guests of the tests can do, good and bad. Each probe is a
//! thin crate that joins [`Base`] with at most one capability, so that its
//! component imports no other.

#![allow(
    missing_docs,
    reason = "the fields of the actions say by their names what they set"
)]

pub mod http;
pub mod keys;
pub mod reveal;
pub mod sql;

mod base;
mod bombs;

pub use base::Base;

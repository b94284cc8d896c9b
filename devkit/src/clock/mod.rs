//! A host whose clock is wrong.

mod skew;

pub use skew::Skew;

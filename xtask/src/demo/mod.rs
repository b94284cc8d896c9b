//! `cargo xtask demo`: the whole line on this machine, told step by step. Every
//! claim is checked; the first that does not hold ends the demo with an error.

mod airflow;
mod alive;
mod hunt;
mod reviewer;
mod story;

pub(crate) use airflow::run as run_with_airflow;
pub(crate) use story::run;

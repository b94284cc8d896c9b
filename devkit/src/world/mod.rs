//! A whole installation in a folder of its own: configuration, grants, a real
//! OpenBao with the policies that our own command wrote. Tests, benchmarks and
//! the demo run the real binary in it.

mod compiled;
mod run;
mod site;

pub use run::{Finished, Run};
pub use site::{DAG, World};

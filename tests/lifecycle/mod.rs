//! From log-in to seal with the real binary: every way in which a run ends, and
//! every moment at which its process can be killed.

mod exits;
mod kills;
mod log_in;
mod mismatches;
mod neighbours;
mod panics;
mod trouble;

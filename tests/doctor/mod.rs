//! `cofferdam doctor` finds what is wrong, and nothing when nothing is.

mod clinic;
mod endings;
mod files;
mod guide;
mod nodes;
mod rights;
mod task_role;
mod width;

//! Guest components: the example tasks and the hostile guests of the tests.
//!
//! Every folder in `examples/` and `tests/guests/` with a `task.toml` is one
//! guest; `cofferdam build` makes `target/guests/FOLDER.wasm` of it, with its
//! needs embedded. They are built by `cargo xtask guests` (which `demo` and
//! `test` call), never by a build script, since guests may need another
//! compiler than the host.

mod build;
mod inputs;

pub use build::{build_all, component, folder};

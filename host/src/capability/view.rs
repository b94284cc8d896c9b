//! The borrowed view through which a capability serves one call.

use std::sync::Arc;

use wasmtime::component::{HasData, ResourceTable};

use super::Attempt;
use super::bindings::cofferdam::{capabilities, task};

/// What one call may touch: the attempt and the handles of its store.
pub struct View<'a> {
    /// The attempt.
    pub attempt: &'a Arc<Attempt>,
    /// The handles of this store, capped.
    pub table: &'a mut ResourceTable,
}

/// Ties [`View`] to the linker.
pub struct Capabilities;

impl HasData for Capabilities {
    type Data<'a> = View<'a>;
}

impl capabilities::types::Host for View<'_> {}
impl task::outcome::Host for View<'_> {}

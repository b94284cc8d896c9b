//! The `control` interface: being asked to stop, saying that one is alive.

use std::sync::atomic::Ordering;

use crate::capability::View;
use crate::capability::bindings::cofferdam::task::control;

impl control::Host for View<'_> {
    async fn cancelled(&mut self) -> wasmtime::Result<bool> {
        Ok(self.attempt.cancelled().load(Ordering::Relaxed))
    }

    async fn heartbeat(&mut self) -> wasmtime::Result<()> {
        Ok(())
    }
}

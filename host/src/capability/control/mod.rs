//! The `control` interface: being asked to stop, saying that one is alive.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::capability::View;
use crate::capability::bindings::cofferdam::task::control;
use crate::lock::Mutex;

/// Whether the attempt should stop, and when it last showed progress.
pub struct Pulse {
    cancelled: AtomicBool,
    heartbeat: Mutex<Instant>,
}

impl Pulse {
    /// The pulse of an attempt that starts now.
    pub fn start() -> Self {
        Self {
            cancelled: AtomicBool::new(false),
            heartbeat: Mutex::new(Instant::now()),
        }
    }

    /// Asks the attempt to stop.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked the attempt to stop.
    pub fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// When the attempt last showed progress; its start counts.
    pub fn last_heartbeat(&self) -> Instant {
        *self.heartbeat.lock()
    }
}

impl control::Host for View<'_> {
    async fn cancelled(&mut self) -> wasmtime::Result<bool> {
        Ok(self.attempt.parts().pulse.cancelled())
    }

    async fn heartbeat(&mut self) -> wasmtime::Result<()> {
        *self.attempt.parts().pulse.heartbeat.lock() = Instant::now();
        Ok(())
    }
}

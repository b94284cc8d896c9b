//! What one store holds.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::growth::Growth;
use super::limiter::{Limit, Limiter};
use super::stdio::LogPipe;
use crate::capability::{Attempt, View};
use crate::grants::Limits;

/// Most bytes of randomness in one WASI call; a guest chooses the number.
const MAX_RANDOM: u64 = 64 << 10;

/// The state of one attempt's store.
pub(super) struct TaskState {
    wasi: WasiCtx,
    table: ResourceTable,
    attempt: Arc<Attempt>,
    pipes: [LogPipe; 2],
    host_calls_left: u64,
    pub(super) limiter: Limiter,
}

impl Drop for TaskState {
    /// Writes out what the guest printed without a final newline, however it ended.
    fn drop(&mut self) {
        self.pipes.iter().for_each(LogPipe::flush);
    }
}

/// The trap of a task that called the host too often, or in vain.
#[derive(Debug, thiserror::Error)]
#[error("the task used up its calls ({0})")]
pub(super) struct CallsExceeded(pub(super) Limit);

impl TaskState {
    pub(super) fn new(attempt: Arc<Attempt>, limits: &Limits, growth: Growth) -> Self {
        let [stdout, stderr] = ["stdout", "stderr"].map(|target| {
            let parts = attempt.parts();
            LogPipe::new(target, Arc::clone(&parts.log), parts.secrets.clone())
        });
        // WASI with nothing in it: no files, no environment, no arguments, no
        // network. What a guest prints becomes lines of its log.
        let wasi = WasiCtx::builder()
            .stdout(stdout.clone())
            .stderr(stderr.clone())
            .max_random_size(MAX_RANDOM)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        Self {
            wasi,
            table,
            attempt,
            pipes: [stdout, stderr],
            host_calls_left: limits.host_calls,
            limiter: Limiter::new(limits, growth),
        }
    }

    /// The view of one capability call.
    pub(super) fn view(&mut self) -> View<'_> {
        View {
            attempt: &self.attempt,
            table: &mut self.table,
        }
    }

    /// Counts one call into the host, WASI included.
    pub(super) fn count_host_call(&mut self) -> Result<(), CallsExceeded> {
        let left = self.host_calls_left.checked_sub(1);
        self.host_calls_left = left.ok_or(CallsExceeded(Limit::HostCalls))?;
        match self.attempt.is_out_of_refusals() {
            true => Err(CallsExceeded(Limit::Refusals)),
            false => Ok(()),
        }
    }
}

impl WasiView for TaskState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

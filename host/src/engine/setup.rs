//! The engine of one process.

use std::path::Path;
use std::sync::Arc;

use wasmtime::component::Linker;
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::LoadError;
use super::cache::CodeCache;
use super::compiler::{Compiler, Loaded};
use super::lane::Lane;
use super::state::TaskState;
use super::ticker::{self, Activity};
use crate::capability::Capabilities;
use crate::capability::bindings::cofferdam;
use crate::config::EngineConfig;
use crate::priority::Background;

/// Stack of a guest. wasmtime's own default; a deeper recursion traps and is
/// reported as the limit `stack`.
pub(super) const MAX_WASM_STACK: usize = 512 << 10;

/// Stack of guest and host together: the guest's plus room for host functions
/// (wasmtime wants it larger than [`MAX_WASM_STACK`]).
const ASYNC_STACK: usize = 2 << 20;

/// Linear memories of one component. A Python component has a few.
const MEMORIES_PER_TASK: u32 = 8;
/// Linear memories of all live tasks together, per task: nearly every task
/// has one, and each reserves 4 GiB of address space.
const MEMORIES_SHARE: u32 = 2;
/// Tables of one component.
const TABLES_PER_TASK: u32 = 16;

/// What a slot of the pool keeps in memory between two guests, wiped byte by
/// byte: a small guest touches less, and giving pages back to the system and
/// faulting them in again takes longer than the rest of its end. Wasmtime's
/// `pagemap_scan`, which wipes only what was written, stays off: it takes a page
/// in swap for one that was not.
const KEPT_MEMORY: usize = 256 << 10;
/// The same for a table of functions.
const KEPT_TABLE: usize = 16 << 10;

/// Told when a compile begins and ends; it can take seconds.
pub trait Progress: Send + Sync {
    /// A component is being compiled.
    fn compiling(&self, path: &Path);
    /// It is compiled.
    fn compiled(&self);
}

/// The engine of one process: settings, linker, code cache, loaded tasks.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

pub(super) struct Inner {
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) linker: Linker<TaskState>,
    pub(super) config: EngineConfig,
    pub(super) cache: CodeCache,
    pub(super) activity: Arc<Activity>,
    pub(super) lane: Arc<Lane>,
    pub(super) compiler: Compiler,
    pub(super) loaded: Loaded,
}

impl Engine {
    /// Starts the engine. Compiled code is kept in `cache`, authenticated with
    /// a key in `state`.
    ///
    /// # Errors
    /// Settings out of range, a folder that others can write, or a machine
    /// that wasmtime cannot serve.
    pub fn new(
        config: EngineConfig,
        background: Background,
        cache: &Path,
        state: &Path,
    ) -> Result<Self, LoadError> {
        let wasmtime =
            wasmtime::Engine::new(&wasmtime_config(&config)).map_err(LoadError::Engine)?;
        let linker = linker(&wasmtime).map_err(LoadError::Engine)?;
        let cache = CodeCache::open(cache, state, &wasmtime)?;
        let activity = ticker::start(&wasmtime)?;
        Ok(Self(Arc::new(Inner {
            wasmtime,
            linker,
            config,
            cache,
            lane: Arc::new(Lane::new(background)),
            compiler: Compiler::new(background, Arc::clone(&activity)),
            activity,
            loaded: Loaded::default(),
        })))
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }
}

fn wasmtime_config(settings: &EngineConfig) -> Config {
    let tasks = settings.instances;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(tasks)
        .total_core_instances(tasks.saturating_mul(settings.max_core_instances))
        .total_memories(tasks.saturating_mul(MEMORIES_SHARE).max(MEMORIES_PER_TASK))
        .total_tables(tasks.saturating_mul(TABLES_PER_TASK))
        .total_stacks(tasks)
        .max_core_instances_per_component(settings.max_core_instances)
        .max_memories_per_component(MEMORIES_PER_TASK)
        .max_tables_per_component(TABLES_PER_TASK)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .linear_memory_keep_resident(KEPT_MEMORY)
        .table_keep_resident(KEPT_TABLE)
        .table_elements(settings.max_table_elements)
        .max_memory_size(settings.max_memory);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .max_wasm_stack(MAX_WASM_STACK)
        .async_stack_size(ASYNC_STACK);
    config
}

fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<TaskState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    let l = &mut linker;
    cofferdam::capabilities::types::add_to_linker::<_, Capabilities>(l, TaskState::view)?;
    cofferdam::capabilities::http::add_to_linker::<_, Capabilities>(l, TaskState::view)?;
    cofferdam::capabilities::keys::add_to_linker::<_, Capabilities>(l, TaskState::view)?;
    cofferdam::capabilities::reveal::add_to_linker::<_, Capabilities>(l, TaskState::view)?;
    cofferdam::capabilities::sql::add_to_linker::<_, Capabilities>(l, TaskState::view)?;
    cofferdam::task::outcome::add_to_linker::<_, Capabilities>(l, TaskState::view)?;
    cofferdam::task::context::add_to_linker::<_, Capabilities>(l, TaskState::view)?;
    cofferdam::task::log::add_to_linker::<_, Capabilities>(l, TaskState::view)?;
    cofferdam::task::control::add_to_linker::<_, Capabilities>(l, TaskState::view)?;
    Ok(linker)
}

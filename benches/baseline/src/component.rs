//! Bare wasmtime: a store, an instance, one call.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use wasmtime::component::{
    Component, ComponentType, InstancePre, Lift, Linker, ResourceTable, TypedFunc,
};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

#[expect(dead_code, reason = "only ever lifted from a guest")]
#[derive(ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

#[expect(dead_code, reason = "only ever lifted from a guest")]
#[derive(ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
enum Disposition {
    #[component(name = "retry")]
    Retry,
    #[component(name = "fail")]
    Fail,
    #[component(name = "skip")]
    Skip,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Failed {
    #[component(name = "disposition")]
    _disposition: Disposition,
    #[component(name = "message")]
    _message: String,
}

/// One component, ready to instantiate.
pub(crate) struct Bare {
    pre: InstancePre<State>,
}

impl Bare {
    pub(crate) fn load(path: &str) -> Result<Self> {
        // As the host keeps them: warm slots, wiped byte by byte.
        let mut pool = PoolingAllocationConfig::new();
        pool.linear_memory_keep_resident(256 << 10)
            .table_keep_resident(16 << 10);
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config)?;
        let component = Component::from_file(&engine, path)?;
        let mut linker = Linker::<State>::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        linker
            .instance("cofferdam:task/log@0.1.0")?
            .func_wrap("write", |_, (_, _, _): (Level, String, String)| Ok(()))?;
        linker.define_unknown_imports_as_traps(&component)?;
        Ok(Self {
            pre: linker.instantiate_pre(&component)?,
        })
    }

    pub(crate) async fn batch(&self, input: &str, n: usize) -> Result<Vec<u64>> {
        let mut nanos = Vec::with_capacity(n);
        for _ in 0..n {
            let start = Instant::now();
            let state = State {
                wasi: WasiCtx::builder().build(),
                table: ResourceTable::new(),
            };
            let mut store = Store::new(self.pre.engine(), state);
            let instance = self.pre.instantiate_async(&mut store).await?;
            let run: TypedFunc<(&str,), (Result<String, Failed>,)> =
                instance.get_typed_func(&mut store, "run")?;
            let (result,) = run.call_async(&mut store, (input,)).await?;
            drop(store);
            nanos.push(
                u64::try_from(start.elapsed().as_nanos())
                    .context("a duration that does not fit")?,
            );
            ensure!(result.is_ok(), "the component failed");
        }
        Ok(nanos)
    }
}

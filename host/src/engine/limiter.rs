//! Counts what a store uses and remembers which limit bit.

use async_trait::async_trait;
use serde::Serialize;
use wasmtime::ResourceLimiterAsync;

use super::growth::Growth;
use crate::grants::Limits;

/// A limit of the grants file, as the report names it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    strum::Display,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Limit {
    /// `timeout`.
    Timeout,
    /// `heartbeat`.
    Heartbeat,
    /// `memory`.
    Memory,
    /// `table_elements`.
    TableElements,
    /// `instances`.
    Instances,
    /// `handles`.
    Handles,
    /// `output`.
    Output,
    /// `log`.
    Log,
    /// `host_calls`.
    HostCalls,
    /// Refused calls, a thousand for every task.
    Refusals,
    /// The call stack, [`super::setup::MAX_WASM_STACK`].
    Stack,
    /// Bytes that one call may hand to the host at once.
    CallSize,
}

/// Linear memories of one component: more than the pool gives it (`setup`), which refuses first.
const MAX_MEMORIES: usize = 32;
/// Tables of one component, as well.
const MAX_TABLES: usize = 64;

/// The limiter of one store.
pub(super) struct Limiter {
    memory_left: usize,
    elements_left: usize,
    /// What is left before the guest counts as large.
    small: Small,
    instances: usize,
    growth: Growth,
}

/// Up to here a guest is small. One instruction can fill all the memory there is,
/// and no tick interrupts it: a larger guest may not do so on a thread that others
/// wait for. A small one takes about as long for it as its share of such a thread.
struct Small {
    memory: usize,
    elements: usize,
}

impl Default for Small {
    fn default() -> Self {
        Self {
            memory: 4 << 20,
            elements: 64 << 10,
        }
    }
}

impl Limiter {
    pub(super) fn new(limits: &Limits, growth: Growth) -> Self {
        Self {
            memory_left: limits.memory,
            elements_left: limits.table_elements,
            small: Small::default(),
            instances: limits.instances,
            growth,
        }
    }

    fn take(left: &mut usize, current: usize, desired: usize) -> bool {
        match left.checked_sub(desired.saturating_sub(current)) {
            Some(rest) => {
                *left = rest;
                true
            }
            None => false,
        }
    }
}

#[async_trait]
impl ResourceLimiterAsync for Limiter {
    async fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = Self::take(&mut self.memory_left, current, desired);
        if !granted {
            self.growth.refuse(Limit::Memory);
        } else if !Self::take(&mut self.small.memory, current, desired) {
            let bytes = desired.saturating_sub(current);
            self.growth.becomes_large(bytes).await;
        }
        Ok(granted)
    }

    async fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = Self::take(&mut self.elements_left, current, desired);
        if !granted {
            self.growth.refuse(Limit::TableElements);
        } else if !Self::take(&mut self.small.elements, current, desired) {
            let bytes = (desired.saturating_sub(current)).saturating_mul(size_of::<usize>());
            self.growth.becomes_large(bytes).await;
        }
        Ok(granted)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }
}

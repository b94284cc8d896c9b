//! Counts what a store uses and remembers which limit bit.

use serde::Serialize;
use wasmtime::ResourceLimiter;

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
    /// The call stack, [`super::setup::MAX_WASM_STACK`].
    Stack,
    /// Bytes that one call may hand to the host at once.
    CallSize,
}

/// Linear memories of one component. A Python component has about ten.
const MAX_MEMORIES: usize = 32;
/// Tables of one component.
const MAX_TABLES: usize = 64;

/// The limiter of one store.
pub(super) struct Limiter {
    memory_left: usize,
    elements_left: usize,
    instances: usize,
    refused: Option<Limit>,
}

impl Limiter {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            memory_left: limits.memory,
            elements_left: limits.table_elements,
            instances: limits.instances,
            refused: None,
        }
    }

    /// The last growth that was refused. A guest that runs out of memory ends
    /// in a plain `unreachable`; this tells what really happened.
    pub(super) fn refused(&self) -> Option<Limit> {
        self.refused
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

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = Self::take(&mut self.memory_left, current, desired);
        if !granted {
            self.refused = Some(Limit::Memory);
        }
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = Self::take(&mut self.elements_left, current, desired);
        if !granted {
            self.refused = Some(Limit::TableElements);
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

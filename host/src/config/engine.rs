//! The `[engine]` table: what this machine gives to tasks as a whole.

use serde::{Deserialize, Deserializer};

use super::value::{self, Range};

/// What the engine's pool holds. A grants file cannot ask for more than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    /// Attempts that can be alive at the same time.
    #[serde(deserialize_with = "instances")]
    pub instances: u32,
    /// Linear memory in bytes that one attempt can have at most.
    #[serde(rename = "memory", deserialize_with = "memory")]
    pub max_memory: usize,
    /// Elements of all tables that one attempt can have at most. A Rust task
    /// has some hundreds, a JavaScript task 7,701 in one table.
    #[serde(rename = "table_elements", deserialize_with = "table_elements")]
    pub max_table_elements: usize,
    /// Core instances that one attempt can have at most. A Rust task has
    /// about 4, a Python task about 14.
    #[serde(rename = "core_instances", deserialize_with = "core_instances")]
    pub max_core_instances: u32,
}

impl EngineConfig {
    /// `instances`. The pool reserves address space for each, not memory.
    pub const INSTANCES: Range<u32> = Range {
        default: 64,
        min: 1,
        max: 4_096,
    };
    /// `memory`. 4 GiB is all that a 32-bit guest can address.
    pub const MEMORY: Range<usize> = Range {
        default: 1 << 30,
        min: 1 << 20,
        max: 4 << 30,
    };
    /// `table_elements`.
    pub const TABLE_ELEMENTS: Range<usize> = Range {
        default: 20_000,
        min: 100,
        max: 1_000_000,
    };
    /// `core_instances`.
    pub const CORE_INSTANCES: Range<u32> = Range {
        default: 100,
        min: 4,
        max: 1_000,
    };
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            instances: Self::INSTANCES.default,
            max_memory: Self::MEMORY.default,
            max_table_elements: Self::TABLE_ELEMENTS.default,
            max_core_instances: Self::CORE_INSTANCES.default,
        }
    }
}

fn instances<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    value::count(deserializer, &EngineConfig::INSTANCES)
}

fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    value::size(deserializer, &EngineConfig::MEMORY)
}

fn table_elements<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    value::count(deserializer, &EngineConfig::TABLE_ELEMENTS)
}

fn core_instances<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    value::count(deserializer, &EngineConfig::CORE_INSTANCES)
}

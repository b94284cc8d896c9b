//! The `[engine]` table.

use bytesize::ByteSize;
use serde::Deserialize;

/// How much the engine may hold at once, for all attempts together. The pool
/// reserves address space, not memory, for these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// Attempts that can be live at once. Default 128, at most 10,000.
    pub instances: u32,
    /// The most linear memory that a grants file may allow one task. Default
    /// 1 GiB, at most 4 GiB (a 32-bit memory).
    pub max_memory: ByteSize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            instances: 128,
            max_memory: ByteSize::gib(1),
        }
    }
}

impl EngineConfig {
    /// Upper bound of `instances`.
    pub const MAX_INSTANCES: u32 = 10_000;
    /// Upper bound of `max_memory` in bytes.
    pub const MAX_MEMORY: u64 = 4 << 30;

    /// Whether the numbers can be served.
    ///
    /// # Errors
    /// Names the field and its range.
    pub fn check(&self) -> Result<(), &'static str> {
        if !(1..=Self::MAX_INSTANCES).contains(&self.instances) {
            return Err("`engine.instances` must be 1 to 10000");
        }
        if !(1 << 20..=Self::MAX_MEMORY).contains(&self.max_memory.as_u64()) {
            return Err("`engine.max_memory` must be 1MiB to 4GiB");
        }
        Ok(())
    }
}

//! The `[server.limits]` table.

use serde::{Deserialize, Deserializer};

use crate::config::value::{self, Range};

/// What one caller, one task and all together may use of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerLimits {
    /// Runs under way at once, in all. Never more than `engine.instances`,
    /// which is the default.
    #[serde(deserialize_with = "some_runs")]
    pub runs: Option<u32>,
    /// Runs of one caller under way at once; as many as `runs` when absent.
    #[serde(deserialize_with = "some_runs")]
    pub runs_per_caller: Option<u32>,
    /// Runs of one task under way at once; as many as `runs` when absent.
    #[serde(deserialize_with = "some_runs")]
    pub runs_per_task: Option<u32>,
    /// Runs that wait for their turn, in all.
    #[serde(deserialize_with = "queue")]
    pub queue: u32,
    /// Runs of one caller that wait for their turn.
    #[serde(deserialize_with = "queue_per_caller")]
    pub queue_per_caller: u32,
    /// Submissions of one caller in a second, as a mean; a burst may be as large.
    #[serde(deserialize_with = "submissions")]
    pub submissions_per_second: u32,
    /// Bytes of one request's body.
    #[serde(deserialize_with = "body")]
    pub body: usize,
    /// Bytes of bodies and inputs that are held at once, in all: from the moment
    /// at which one is announced to the end of its run. Answers that were not yet
    /// read may take as much again.
    #[serde(deserialize_with = "memory")]
    pub memory: usize,
    /// The same of one caller; never less than `body`.
    #[serde(deserialize_with = "memory_per_caller")]
    pub memory_per_caller: usize,
    /// Open connections, in all.
    #[serde(deserialize_with = "connections")]
    pub connections: u32,
    /// Open connections of one caller.
    #[serde(deserialize_with = "connections_per_caller")]
    pub connections_per_caller: u32,
}

impl ServerLimits {
    /// `runs`, `runs_per_caller`, `runs_per_task`; `default` is not used.
    pub const RUNS: Range<u32> = Range {
        default: 64,
        min: 1,
        max: 4_096,
    };
    /// `queue`.
    pub const QUEUE: Range<u32> = Range {
        default: 10_000,
        min: 0,
        max: 1_000_000,
    };
    /// `queue_per_caller`.
    pub const QUEUE_PER_CALLER: Range<u32> = Range {
        default: 5_000,
        ..Self::QUEUE
    };
    /// `submissions_per_second`.
    pub const SUBMISSIONS: Range<u32> = Range {
        default: 50_000,
        min: 1,
        max: 1_000_000,
    };
    /// `body`. A grants file's `limits.input` has the same maximum, 64 MiB; the
    /// rest is for the JSON around the input.
    pub const BODY: Range<usize> = Range {
        default: 8 << 20,
        min: 1 << 10,
        max: 65 << 20,
    };
    /// `memory`.
    pub const MEMORY: Range<usize> = Range {
        default: 256 << 20,
        min: 1 << 20,
        max: 64 << 30,
    };
    /// `memory_per_caller`.
    pub const MEMORY_PER_CALLER: Range<usize> = Range {
        default: 64 << 20,
        ..Self::MEMORY
    };
    /// `connections`. Each takes a file descriptor.
    pub const CONNECTIONS: Range<u32> = Range {
        default: 4_096,
        min: 1,
        max: 65_536,
    };
    /// `connections_per_caller`.
    pub const CONNECTIONS_PER_CALLER: Range<u32> = Range {
        default: 2_048,
        ..Self::CONNECTIONS
    };
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            runs: None,
            runs_per_caller: None,
            runs_per_task: None,
            queue: Self::QUEUE.default,
            queue_per_caller: Self::QUEUE_PER_CALLER.default,
            submissions_per_second: Self::SUBMISSIONS.default,
            body: Self::BODY.default,
            memory: Self::MEMORY.default,
            memory_per_caller: Self::MEMORY_PER_CALLER.default,
            connections: Self::CONNECTIONS.default,
            connections_per_caller: Self::CONNECTIONS_PER_CALLER.default,
        }
    }
}

fn some_runs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    value::count(deserializer, &ServerLimits::RUNS).map(Some)
}

fn queue<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    value::count(deserializer, &ServerLimits::QUEUE)
}

fn queue_per_caller<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    value::count(deserializer, &ServerLimits::QUEUE_PER_CALLER)
}

fn submissions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    value::count(deserializer, &ServerLimits::SUBMISSIONS)
}

fn body<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    value::size(deserializer, &ServerLimits::BODY)
}

fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    value::size(deserializer, &ServerLimits::MEMORY)
}

fn memory_per_caller<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    value::size(deserializer, &ServerLimits::MEMORY_PER_CALLER)
}

fn connections<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    value::count(deserializer, &ServerLimits::CONNECTIONS)
}

fn connections_per_caller<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    value::count(deserializer, &ServerLimits::CONNECTIONS_PER_CALLER)
}

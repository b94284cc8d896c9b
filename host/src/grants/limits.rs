//! The `[limits]` table.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::config::value::{self, Range};

/// What one attempt may use up. Every field has a default, and every one is
/// named in the report when it bites.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Wall time of the attempt. Default 60 s, at most 24 h.
    #[serde(deserialize_with = "timeout")]
    pub timeout: Duration,
    /// How long a task that was asked to stop may take. Default 500 ms, at most 4 s
    /// (Airflow kills 5 s after it asked).
    #[serde(deserialize_with = "grace")]
    pub grace: Duration,
    /// Longest silence between two `control.heartbeat` calls; unlimited when `None`.
    #[serde(deserialize_with = "heartbeat")]
    pub heartbeat: Option<Duration>,
    /// Linear memory in bytes. Default 128 MiB, at most what the engine's pool holds.
    #[serde(deserialize_with = "memory")]
    pub memory: usize,
    /// Elements of all tables. Default 20,000.
    #[serde(deserialize_with = "table_elements")]
    pub table_elements: usize,
    /// Core instances. Default 100.
    #[serde(deserialize_with = "instances")]
    pub instances: usize,
    /// Live handles. Default 1,000.
    #[serde(deserialize_with = "handles")]
    pub handles: usize,
    /// Size of the result in bytes. Default 1 MiB.
    #[serde(deserialize_with = "output")]
    pub output: usize,
    /// Size of the input in bytes. Default 8 MiB.
    #[serde(deserialize_with = "input")]
    pub input: usize,
    /// The log in bytes, each line with `capability::LINE_COST` more than its text. Default 1 MiB.
    #[serde(deserialize_with = "log")]
    pub log: usize,
    /// Calls from the task into the host, WASI included. Default 1,000,000.
    #[serde(deserialize_with = "host_calls")]
    pub host_calls: u64,
}

impl Limits {
    /// `timeout`.
    pub const TIMEOUT: Range<Duration> = Range {
        default: Duration::from_secs(60),
        min: Duration::from_millis(10),
        max: Duration::from_secs(24 * 60 * 60),
    };
    /// `grace`.
    pub const GRACE: Range<Duration> = Range {
        default: Duration::from_millis(500),
        min: Duration::ZERO,
        max: Duration::from_secs(4),
    };
    /// `heartbeat`, where it is set at all; an absent field is unlimited.
    pub const HEARTBEAT: Range<Duration> = Range {
        default: Duration::from_secs(60),
        min: Duration::from_millis(10),
        max: Duration::from_secs(24 * 60 * 60),
    };
    /// `memory`. The least is one page of WebAssembly.
    pub const MEMORY: Range<usize> = Range {
        default: 128 << 20,
        min: 64 << 10,
        max: 4 << 30,
    };
    /// `table_elements`.
    pub const TABLE_ELEMENTS: Range<usize> = Range {
        default: 20_000,
        min: 1,
        max: 1_000_000,
    };
    /// `instances`.
    pub const INSTANCES: Range<usize> = Range {
        default: 100,
        min: 1,
        max: 1_000,
    };
    /// `handles`.
    pub const HANDLES: Range<usize> = Range {
        default: 1_000,
        min: 1,
        max: 100_000,
    };
    /// `output`.
    pub const OUTPUT: Range<usize> = Range {
        default: 1 << 20,
        min: 1,
        max: 64 << 20,
    };
    /// `input`.
    pub const INPUT: Range<usize> = Range {
        default: 8 << 20,
        min: 1,
        max: 64 << 20,
    };
    /// `log`.
    pub const LOG: Range<usize> = Range {
        default: 1 << 20,
        min: 0,
        max: 64 << 20,
    };
    /// `host_calls`.
    pub const HOST_CALLS: Range<u64> = Range {
        default: 1_000_000,
        min: 1,
        max: 1_000_000_000,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Self::TIMEOUT.default,
            grace: Self::GRACE.default,
            heartbeat: None,
            memory: Self::MEMORY.default,
            table_elements: Self::TABLE_ELEMENTS.default,
            instances: Self::INSTANCES.default,
            handles: Self::HANDLES.default,
            output: Self::OUTPUT.default,
            input: Self::INPUT.default,
            log: Self::LOG.default,
            host_calls: Self::HOST_CALLS.default,
        }
    }
}

/// One reader a field: serde names a function, which cannot take the range.
macro_rules! readers {
    ($($name:ident: $type:ty = $reader:path, $range:ident;)*) => {
        $(fn $name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
            $reader(deserializer, &Limits::$range)
        })*
    };
}

readers! {
    timeout: Duration = value::duration, TIMEOUT;
    grace: Duration = value::duration, GRACE;
    memory: usize = value::size, MEMORY;
    table_elements: usize = value::count, TABLE_ELEMENTS;
    instances: usize = value::count, INSTANCES;
    handles: usize = value::count, HANDLES;
    output: usize = value::size, OUTPUT;
    input: usize = value::size, INPUT;
    log: usize = value::size, LOG;
    host_calls: u64 = value::count, HOST_CALLS;
}

fn heartbeat<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    value::duration(deserializer, &Limits::HEARTBEAT).map(Some)
}

/// Some limits, in the words of the `[limits]` table: those that a caller asks
/// for, which can only be tighter than the grants', or those that hold for a run.
///
/// Read, they are what a service told: limits and values that only a later one has
/// spoil nothing. [`RunLimits::asked`] reads what a caller wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RunLimits {
    /// Wall time of the attempt, such as `30s`.
    #[serde(
        deserialize_with = "told::duration",
        serialize_with = "write_duration",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>, example = "30s", pattern = "^[1-9][0-9]{0,3}(ms|s|m|h)( [1-9][0-9]{0,2}(ms|s|m))*$")]
    pub timeout: Option<Duration>,
    /// Linear memory, such as `64MiB`.
    #[serde(
        deserialize_with = "told::size",
        serialize_with = "write_size",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>, example = "64MiB", pattern = "^[1-9][0-9]{0,9}(B|KiB|MiB|GiB)$")]
    pub memory: Option<usize>,
    /// Size of the result, such as `64KiB`.
    #[serde(
        deserialize_with = "told::size",
        serialize_with = "write_size",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>, example = "64KiB", pattern = "^(0B|[1-9][0-9]{0,9}(B|KiB|MiB|GiB))$")]
    pub output: Option<usize>,
    /// Log text, such as `64KiB`.
    #[serde(
        deserialize_with = "told::size",
        serialize_with = "write_size",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>, example = "64KiB", pattern = "^(0B|[1-9][0-9]{0,9}(B|KiB|MiB|GiB))$")]
    pub log: Option<usize>,
    /// Calls from the task into the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub host_calls: Option<u64>,
}

/// [`RunLimits`] as a caller writes them.
#[derive(Deserialize)]
#[serde(remote = "RunLimits", deny_unknown_fields)]
struct AskedLimits {
    #[serde(default, deserialize_with = "some::timeout")]
    timeout: Option<Duration>,
    #[serde(default, deserialize_with = "some::memory")]
    memory: Option<usize>,
    #[serde(default, deserialize_with = "some::output")]
    output: Option<usize>,
    #[serde(default, deserialize_with = "some::log")]
    log: Option<usize>,
    #[serde(default, deserialize_with = "some::host_calls")]
    host_calls: Option<u64>,
}

/// A limit that was asked for, and is wider than what the grants allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`limits.{field}` was asked to be {asked}, but the grants allow {granted}")]
pub struct WiderLimit {
    /// The field.
    pub field: &'static str,
    /// What was asked for.
    pub asked: String,
    /// What the grants allow.
    pub granted: String,
}

impl WiderLimit {
    /// What to do about it.
    pub fn cure(&self) -> String {
        format!(
            "ask for `{}` at most, or ask security to raise `limits.{}` of the grants file",
            self.granted, self.field
        )
    }
}

impl RunLimits {
    /// Reads limits that a caller asks for. What is not known is refused, since it
    /// would not be heeded, and so is what no grants file can hold.
    ///
    /// # Errors
    /// Names the field, and what it takes.
    pub fn asked<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        AskedLimits::deserialize(deserializer)
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Limits {
    /// These limits with those that a caller asks for in their place.
    ///
    /// # Errors
    /// Names the first that would be wider: a caller only tightens.
    pub fn tightened(&self, asked: &RunLimits) -> Result<Self, WiderLimit> {
        let (duration, size) = (value::show_duration, value::show_size);
        let show_calls = |calls: u64| calls.to_string();
        // By name: a limit that is not held here would be taken and then forgotten.
        let &RunLimits {
            timeout,
            memory,
            output,
            log,
            host_calls,
        } = asked;
        Ok(Self {
            timeout: tighter("timeout", self.timeout, timeout, duration)?,
            memory: tighter("memory", self.memory, memory, size)?,
            output: tighter("output", self.output, output, size)?,
            log: tighter("log", self.log, log, size)?,
            host_calls: tighter("host_calls", self.host_calls, host_calls, show_calls)?,
            ..self.clone()
        })
    }

    /// Those of them that a caller can tighten, as they are now.
    pub fn shown(&self) -> RunLimits {
        RunLimits {
            timeout: Some(self.timeout),
            memory: Some(self.memory),
            output: Some(self.output),
            log: Some(self.log),
            host_calls: Some(self.host_calls),
        }
    }
}

fn tighter<T: Copy + Ord>(
    field: &'static str,
    granted: T,
    asked: Option<T>,
    show: impl Fn(T) -> String,
) -> Result<T, WiderLimit> {
    match asked {
        Some(asked) if asked > granted => Err(WiderLimit {
            field,
            asked: show(asked),
            granted: show(granted),
        }),
        Some(asked) => Ok(asked),
        None => Ok(granted),
    }
}

/// The readers of fields that may be absent.
mod some {
    use super::{Deserializer, Duration};

    macro_rules! some {
        ($($name:ident: $type:ty;)*) => {
            $(pub(super) fn $name<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Option<$type>, D::Error> {
                super::$name(deserializer).map(Some)
            })*
        };
    }

    some! {
        timeout: Duration;
        memory: usize;
        output: usize;
        log: usize;
        host_calls: u64;
    }
}

/// The same of what a service told, whatever the range.
mod told {
    use super::{Deserializer, Duration, Range, value};

    pub(super) fn duration<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let any = Range {
            default: Duration::ZERO,
            min: Duration::ZERO,
            max: Duration::MAX,
        };
        value::duration(deserializer, &any).map(Some)
    }

    pub(super) fn size<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<usize>, D::Error> {
        let any = Range {
            default: 0,
            min: 0,
            max: usize::MAX,
        };
        value::size(deserializer, &any).map(Some)
    }
}

fn write_duration<S: Serializer>(
    value: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    value.map(value::show_duration).serialize(serializer)
}

fn write_size<S: Serializer>(value: &Option<usize>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(value::show_size).serialize(serializer)
}

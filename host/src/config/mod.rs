//! `cofferdam.toml`, the operator's file, and what every file that people
//! write has in common: who may have written it ([`guarded`]), strict parsing
//! that names the place ([`strict`]), and values with units and ranges
//! ([`value`]).

mod engine;
mod error;
pub mod guarded;
mod host;
mod server;
pub mod strict;
mod telemetry;
pub mod value;

pub use engine::EngineConfig;
pub use error::ConfigError;
pub use host::HostConfig;
pub use server::{
    Account, Allow, JwtConfig, KeySetPlace, NamePattern, ResultsConfig, ServerConfig, ServerLimits,
    SyncedEnds, TaskPattern, TcpConfig,
};
pub use telemetry::{Collector, TelemetryConfig};

#[cfg(test)]
mod tests;

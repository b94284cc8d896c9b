//! The `[server]` table: `cofferdam serve`.

mod allow;
mod jwt;
mod limits;
mod results;
mod tcp;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};

pub use allow::{Account, Allow, NamePattern, TaskPattern};
pub use jwt::{JwtConfig, KeySetPlace};
pub use limits::ServerLimits;
pub use results::{ResultsConfig, SyncedEnds};
pub use tcp::TcpConfig;

use super::value::{self, Range};

/// How the service listens, whom it lets in and what it keeps.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// The Unix socket. Default `cofferdam.sock`.
    pub socket: PathBuf,
    /// `[server.tcp]`; none when nothing listens there.
    pub tcp: Option<TcpConfig>,
    /// How long runs go on after SIGTERM before they are cancelled. Default `30s`.
    #[serde(deserialize_with = "drain")]
    pub drain: Duration,
    /// A file of the audit that has grown over this is followed by a new one.
    /// Default `1GiB`.
    #[serde(deserialize_with = "audit_file")]
    pub audit_file: usize,
    /// `[[server.allow]]`: who may call, and for which tasks. Without one,
    /// only the service's own user.
    pub allow: Vec<Allow>,
    /// `[server.limits]`.
    pub limits: ServerLimits,
    /// `[server.results]`.
    pub results: ResultsConfig,
}

impl ServerConfig {
    /// `drain`. systemd waits 90 s before it kills.
    pub const DRAIN: Range<Duration> = Range {
        default: Duration::from_secs(30),
        min: Duration::ZERO,
        max: Duration::from_secs(24 * 3_600),
    };

    /// `audit_file`. A line has at most 1 MiB.
    pub const AUDIT_FILE: Range<usize> = Range {
        default: 1 << 30,
        min: 1 << 20,
        max: 64 << 30,
    };

    /// Makes the paths absolute; `root` is the folder of the file.
    pub(super) fn resolve(&mut self, root: &Path) {
        self.socket = root.join(&self.socket);
        if let Some(tcp) = &mut self.tcp {
            tcp.resolve(root);
        }
    }

    /// A rule that names callers of a kind whom nobody could tell: its place,
    /// the field, and what is missing.
    pub(super) fn unproven(&self) -> Option<(usize, &'static str, &'static str)> {
        let tcp = self.tcp.as_ref();
        let has_ca = tcp.is_some_and(|tcp| tcp.client_ca.is_some());
        let has_jwt = tcp.is_some_and(|tcp| tcp.jwt.is_some());
        self.allow.iter().enumerate().find_map(|(at, rule)| {
            if !rule.certificates.is_empty() && !has_ca {
                Some((at, "certificates", "`client_ca` under [server.tcp]"))
            } else if !rule.subjects.is_empty() && !has_jwt {
                Some((at, "subjects", "[server.tcp.jwt]"))
            } else {
                None
            }
        })
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            socket: "cofferdam.sock".into(),
            tcp: None,
            drain: Self::DRAIN.default,
            audit_file: Self::AUDIT_FILE.default,
            allow: Vec::new(),
            limits: ServerLimits::default(),
            results: ResultsConfig::default(),
        }
    }
}

fn drain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    value::duration(deserializer, &ServerConfig::DRAIN)
}

fn audit_file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    value::size(deserializer, &ServerConfig::AUDIT_FILE)
}

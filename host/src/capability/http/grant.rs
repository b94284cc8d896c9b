//! The `[http.NAME]` table.

use std::time::Duration;

use url::Url;

use crate::vault::path::KvPath;
use crate::vault::policy::{PolicyCapability, PolicyRules};

/// One API that a task may call.
#[derive(Debug, Clone)]
pub struct HttpGrant {
    /// Base address; its path ends in `/`.
    pub base: Url,
    /// Method and path patterns, matched on the bytes that are sent.
    pub allow: Vec<AllowRule>,
    /// Where the credential comes from and how it is applied; none for a public API.
    pub credential: Option<HttpCredential>,
    /// Which addresses the name may resolve to.
    pub network: Network,
    /// True when `http://` is allowed.
    pub plain: bool,
    /// Time for one exchange. Default 30 s.
    pub timeout: Duration,
    /// Largest request body in bytes. Default 8 MiB.
    pub max_request: usize,
    /// Largest response body in bytes, after decoding. Default 8 MiB.
    pub max_response: usize,
    /// Response headers that carry credentials but may pass (`set-cookie`, …).
    pub pass_headers: Vec<String>,
}

/// One `METHOD path/pattern` line.
#[derive(Debug, Clone)]
pub struct AllowRule {
    /// The method, upper case.
    pub method: String,
    /// The pattern: `*` within a segment, `**` over segments.
    pub pattern: String,
}

/// A KV secret and how it is put on a request.
#[derive(Debug, Clone)]
pub struct HttpCredential {
    /// The secret.
    pub kv: KvPath,
    /// How it is applied.
    pub inject: Injection,
}

/// How a credential is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Injection {
    /// A header whose value is a template over the secret's fields.
    Header {
        /// The header's name.
        name: String,
        /// Such as `Bearer {token}`.
        value: String,
    },
    /// `Authorization: Basic`, from two fields of the secret.
    Basic {
        /// Template of the user name.
        username: String,
        /// Template of the password.
        password: String,
    },
    /// A query parameter.
    Query {
        /// The parameter's name.
        name: String,
        /// Template of its value.
        value: String,
    },
}

/// Which addresses a destination may resolve to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Public addresses only.
    #[default]
    Public,
    /// RFC 1918, RFC 6598 and unique local addresses.
    Private,
    /// 127.0.0.0/8 and ::1.
    Loopback,
}

impl HttpGrant {
    /// What the grant needs in Vault.
    pub fn policy(&self, rules: &mut PolicyRules) {
        if let Some(credential) = &self.credential {
            rules.allow(credential.kv.api_path(), PolicyCapability::Read);
        }
    }
}

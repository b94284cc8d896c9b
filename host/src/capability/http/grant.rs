//! The `[http.NAME]` table.

use std::time::Duration;

use url::Url;

use crate::vault::path::KvPath;
use crate::vault::policy::{PolicyCapability, PolicyRules};

/// One API that a task may call.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(try_from = "Raw")]
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

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    base: String,
    allow: Vec<String>,
    credential: Option<RawCredential>,
    inject: Option<RawInjection>,
    #[serde(default)]
    network: Network,
    #[serde(default)]
    plain: bool,
    timeout: Option<String>,
    max_request: Option<String>,
    max_response: Option<String>,
    #[serde(default)]
    pass_headers: Vec<String>,
}

/// One KV secret as a file names it.
#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) struct RawCredential {
    kv1: Option<RawKv>,
    kv2: Option<RawKv>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKv {
    mount: crate::vault::path::VaultPath,
    path: crate::vault::path::VaultPath,
    version: Option<u64>,
    field: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInjection {
    header: Option<String>,
    query: Option<String>,
    value: Option<String>,
    basic: Option<RawBasic>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBasic {
    username: String,
    password: String,
}

impl RawCredential {
    pub(crate) fn take(self) -> Result<(KvPath, Option<String>), &'static str> {
        match (self.kv1, self.kv2) {
            (Some(kv), None) => Ok((
                KvPath::V1 {
                    mount: kv.mount,
                    path: kv.path,
                },
                kv.field,
            )),
            (None, Some(kv)) => Ok((
                KvPath::V2 {
                    mount: kv.mount,
                    path: kv.path,
                    version: kv.version,
                },
                kv.field,
            )),
            _ => Err("name one of `kv1` and `kv2`"),
        }
    }
}

impl TryFrom<RawInjection> for Injection {
    type Error = &'static str;

    fn try_from(raw: RawInjection) -> Result<Self, Self::Error> {
        match (raw.header, raw.query, raw.value, raw.basic) {
            (Some(name), None, Some(value), None) => Ok(Self::Header { name, value }),
            (None, Some(name), Some(value), None) => Ok(Self::Query { name, value }),
            (None, None, None, Some(basic)) => Ok(Self::Basic {
                username: basic.username,
                password: basic.password,
            }),
            _ => Err("name one of `header`, `basic` and `query`"),
        }
    }
}

impl TryFrom<Raw> for HttpGrant {
    type Error = &'static str;

    fn try_from(raw: Raw) -> Result<Self, Self::Error> {
        let credential = match (raw.credential, raw.inject) {
            (Some(credential), Some(inject)) => Some(HttpCredential {
                kv: credential.take()?.0,
                inject: inject.try_into()?,
            }),
            (None, None) => None,
            _ => return Err("`credential` and `inject` belong together"),
        };
        let size = |text: Option<String>| {
            text.map_or(Ok(8 << 20), |text| {
                text.parse::<bytesize::ByteSize>()
                    .map(|size| size.as_u64() as usize)
                    .map_err(|_| "not a size")
            })
        };
        Ok(Self {
            base: raw.base.parse().map_err(|_| "not a URL")?,
            allow: raw
                .allow
                .iter()
                .filter_map(|rule| rule.split_once(' '))
                .map(|(method, pattern)| AllowRule {
                    method: method.to_owned(),
                    pattern: pattern.to_owned(),
                })
                .collect(),
            credential,
            network: raw.network,
            plain: raw.plain,
            timeout: raw.timeout.map_or(Ok(Duration::from_secs(30)), |text| {
                humantime::parse_duration(&text).map_err(|_| "not a duration")
            })?,
            max_request: size(raw.max_request)?,
            max_response: size(raw.max_response)?,
            pass_headers: raw.pass_headers,
        })
    }
}

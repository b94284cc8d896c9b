//! The `credential = { … }` field of a grant.

use std::time::Duration;

use serde::Deserialize;

use super::{CredentialSource, Refresh};
use crate::capability::field::{FieldError, shown};
use crate::vault::path::{KvPath, LeasedPath, StaticRole, VaultName, VaultPath};

/// Longest time for which attempts share a secret: so long may a revoked right
/// or a rotated secret go unnoticed.
const MAX_CACHE_TTL: Duration = Duration::from_secs(60);

/// `{ kv2 = { … } }` and its like, as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCredential {
    kv1: Option<RawKv1>,
    kv2: Option<RawKv2>,
    dynamic: Option<RawDynamic>,
    #[serde(rename = "static")]
    fixed: Option<RawStatic>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKv1 {
    mount: VaultPath,
    path: VaultPath,
    field: Option<String>,
    cache_ttl: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKv2 {
    mount: VaultPath,
    path: VaultPath,
    version: Option<u64>,
    field: Option<String>,
    cache_ttl: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDynamic {
    mount: VaultPath,
    path: VaultPath,
    #[serde(default)]
    refresh: Refresh,
    field: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStatic {
    mount: VaultPath,
    role: VaultName,
    field: Option<String>,
}

/// A source and, when the grant says so, the one field that is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GrantedCredential {
    pub(crate) source: CredentialSource,
    pub(crate) field: Option<String>,
}

impl TryFrom<RawCredential> for GrantedCredential {
    type Error = FieldError;

    fn try_from(raw: RawCredential) -> Result<Self, FieldError> {
        let (source, field) = match (raw.kv1, raw.kv2, raw.dynamic, raw.fixed) {
            (Some(kv1), None, None, None) => kv1.checked()?,
            (None, Some(kv2), None, None) => kv2.checked()?,
            (None, None, Some(dynamic), None) => dynamic.checked(),
            (None, None, None, Some(fixed)) => fixed.checked(),
            _ => {
                return Err(FieldError::new(
                    "credential",
                    "names no engine or several; write exactly one, `{ kv2 = { mount = \"secret\", path = \"…\" } }`, `{ kv1 = … }`, `{ dynamic = { mount = \"database\", path = \"creds/…\" } }` or `{ static = { mount = \"database\", role = \"…\" } }`",
                ));
            }
        };
        if let Some(field) = &field {
            field_name("credential.field", field)?;
        }
        Ok(Self { source, field })
    }
}

/// A source and the one field that may be used of it.
type Parts = (CredentialSource, Option<String>);

impl RawKv1 {
    fn checked(self) -> Result<Parts, FieldError> {
        let source = CredentialSource::Kv {
            path: KvPath::V1 {
                mount: self.mount,
                path: self.path,
            },
            cache_ttl: shared_for(self.cache_ttl.as_deref())?,
        };
        Ok((source, self.field))
    }
}

impl RawKv2 {
    fn checked(self) -> Result<Parts, FieldError> {
        if self.version == Some(0) {
            return Err(FieldError::new(
                "credential.kv2.version",
                "is 0, but versions count from 1; leave it out for the newest",
            ));
        }
        let source = CredentialSource::Kv {
            path: KvPath::V2 {
                mount: self.mount,
                path: self.path,
                version: self.version,
            },
            cache_ttl: shared_for(self.cache_ttl.as_deref())?,
        };
        Ok((source, self.field))
    }
}

impl RawDynamic {
    fn checked(self) -> Parts {
        let source = CredentialSource::Dynamic {
            path: LeasedPath {
                mount: self.mount,
                path: self.path,
            },
            refresh: self.refresh,
        };
        (source, self.field)
    }
}

impl RawStatic {
    fn checked(self) -> Parts {
        let role = StaticRole {
            mount: self.mount,
            role: self.role,
        };
        (CredentialSource::Static(role), self.field)
    }
}

/// Reads `cache_ttl`; none means 0.
fn shared_for(text: Option<&str>) -> Result<Duration, FieldError> {
    let Some(text) = text else {
        return Ok(Duration::ZERO);
    };
    match humantime::parse_duration(text) {
        Ok(time) if time <= MAX_CACHE_TTL => Ok(time),
        _ => Err(FieldError::new(
            "credential.cache_ttl",
            format!(
                "is `{}`; expected a time up to 60s, such as `\"30s\"`, or leave it out to read the secret for each attempt",
                shown(text)
            ),
        )),
    }
}

/// Checks the name of a secret's field: `[A-Za-z0-9_.-]{1,128}`.
pub(crate) fn field_name(place: &'static str, name: &str) -> Result<(), FieldError> {
    let well_formed = (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if well_formed {
        return Ok(());
    }
    Err(FieldError::new(
        place,
        format!(
            "names the secret's field `{}`, but a field's name is 1 to 128 letters, digits and `_ . -`",
            shown(name)
        ),
    ))
}

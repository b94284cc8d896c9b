//! The `credential = { … }` field of a grant.

use std::time::Duration;

use serde::Deserialize;

use crate::capability::field::{FieldError, shown};
use crate::vault::path::{KvPath, VaultPath};

/// Longest time for which attempts share a secret: so long may a revoked right
/// or a rotated secret go unnoticed.
const MAX_CACHE_TTL: Duration = Duration::from_secs(60);

/// `{ kv2 = { … } }` or `{ kv1 = { … } }`, as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCredential {
    kv1: Option<RawKv1>,
    kv2: Option<RawKv2>,
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

/// Where a secret lies and, when the grant says so, the one field that is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CredentialSource {
    pub(crate) kv: KvPath,
    /// How long attempts may share what one of them read; 0 for not at all.
    pub(crate) cache_ttl: Duration,
    pub(crate) field: Option<String>,
}

impl TryFrom<RawCredential> for CredentialSource {
    type Error = FieldError;

    fn try_from(raw: RawCredential) -> Result<Self, FieldError> {
        let (kv, field, cache_ttl) = match (raw.kv1, raw.kv2) {
            (
                Some(RawKv1 {
                    mount,
                    path,
                    field,
                    cache_ttl,
                }),
                None,
            ) => (KvPath::V1 { mount, path }, field, cache_ttl),
            (
                None,
                Some(RawKv2 {
                    mount,
                    path,
                    version,
                    field,
                    cache_ttl,
                }),
            ) => {
                if version == Some(0) {
                    return Err(FieldError::new(
                        "credential.kv2.version",
                        "is 0, but versions count from 1; leave it out for the newest",
                    ));
                }
                let kv = KvPath::V2 {
                    mount,
                    path,
                    version,
                };
                (kv, field, cache_ttl)
            }
            _ => {
                return Err(FieldError::new(
                    "credential",
                    "names no engine or several; write exactly one, `{ kv2 = { mount = \"secret\", path = \"…\" } }` or `{ kv1 = … }`",
                ));
            }
        };
        if let Some(field) = &field {
            field_name("credential.field", field)?;
        }
        Ok(Self {
            kv,
            cache_ttl: shared_for(cache_ttl.as_deref())?,
            field,
        })
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

//! The `[http.NAME]` table as written.

use std::time::Duration;

use bytesize::ByteSize;
use http::HeaderName;
use serde::Deserialize;

use super::grant::{HttpCredential, HttpGrant, Injection};
use super::rule::AllowRule;
use super::template::Template;
use super::{base, headers};
use crate::capability::credential::{GrantedCredential, RawCredential};
use crate::capability::field::{FieldError, shown};
use crate::capability::network::Network;

/// Default and largest time of one exchange.
const TIMEOUT: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(3_600));

/// Default and largest size of a request or response body.
const BODY: (usize, u64) = (8 << 20, 256 << 20);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttpGrant {
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInjection {
    header: Option<String>,
    query: Option<String>,
    value: Option<String>,
    basic: Option<RawBasic>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBasic {
    username: String,
    password: String,
}

impl TryFrom<RawHttpGrant> for HttpGrant {
    type Error = FieldError;

    fn try_from(raw: RawHttpGrant) -> Result<Self, FieldError> {
        let base = base::parse(&raw.base, raw.plain, raw.network)?;
        if raw.allow.is_empty() {
            return Err(FieldError::new(
                "allow",
                "is empty; name at least one call, such as `\"GET invoices/**\"`",
            ));
        }
        let allow = raw
            .allow
            .iter()
            .map(|line| AllowRule::parse(line))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            base,
            allow,
            credential: credential(raw.credential, raw.inject)?,
            network: raw.network,
            plain: raw.plain,
            timeout: timeout(raw.timeout.as_deref())?,
            max_request: size("max_request", raw.max_request.as_deref())?,
            max_response: size("max_response", raw.max_response.as_deref())?,
            pass_headers: raw
                .pass_headers
                .iter()
                .map(|name| pass_header(name))
                .collect::<Result<_, _>>()?,
        })
    }
}

fn credential(
    raw: Option<RawCredential>,
    inject: Option<RawInjection>,
) -> Result<Option<HttpCredential>, FieldError> {
    let (raw, inject) = match (raw, inject) {
        (None, None) => return Ok(None),
        (Some(raw), Some(inject)) => (raw, inject),
        (Some(_), None) => {
            return Err(FieldError::new(
                "inject",
                "is missing; say where the credential goes, such as `inject = { header = \"Authorization\", value = \"Bearer {token}\" }`",
            ));
        }
        (None, Some(_)) => {
            return Err(FieldError::new(
                "credential",
                "is missing; say where the secret for `inject` lies, such as `credential = { kv2 = { mount = \"secret\", path = \"billing\" } }`",
            ));
        }
    };
    let GrantedCredential { source, field } = raw.try_into()?;
    let inject = Injection::try_from(inject)?;
    let fields: Vec<&str> = inject.fields().collect();
    if fields.is_empty() {
        return Err(FieldError::new(
            "inject",
            "uses no field of the secret; name one in braces, such as `{token}`",
        ));
    }
    if let Some(only) = &field
        && let Some(other) = fields.iter().find(|field| *field != only)
    {
        return Err(FieldError::new(
            "inject",
            format!(
                "uses the field `{other}`, but `credential` allows `{only}` only; use `{{{only}}}` or leave `field` out"
            ),
        ));
    }
    Ok(Some(HttpCredential { source, inject }))
}

impl TryFrom<RawInjection> for Injection {
    type Error = FieldError;

    fn try_from(raw: RawInjection) -> Result<Self, FieldError> {
        match (raw.header, raw.query, raw.value, raw.basic) {
            (Some(name), None, Some(value), None) => Ok(Self::Header {
                name: inject_header(&name)?,
                value: Template::parse("inject.value", &value)?,
            }),
            (None, Some(name), Some(value), None) => Ok(Self::Query {
                name: inject_parameter(name)?,
                value: Template::parse("inject.value", &value)?,
            }),
            (None, None, None, Some(basic)) => Ok(Self::Basic {
                username: basic_username(&basic.username)?,
                password: Template::parse("inject.basic.password", &basic.password)?,
            }),
            _ => Err(FieldError::new(
                "inject",
                "must be exactly one of `{ header = \"…\", value = \"…\" }`, `{ query = \"…\", value = \"…\" }` and `{ basic = { username = \"…\", password = \"…\" } }`",
            )),
        }
    }
}

impl Injection {
    /// The fields of the secret that it uses.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        let (first, second) = match self {
            Self::Header { value, .. } | Self::Query { value, .. } => (value, None),
            Self::Basic { username, password } => (username, Some(password)),
        };
        first
            .fields()
            .chain(second.into_iter().flat_map(Template::fields))
    }
}

fn inject_header(text: &str) -> Result<HeaderName, FieldError> {
    let name = header_name("inject.header", text)?;
    if !headers::may_be_injected(&name) {
        return Err(FieldError::new(
            "inject.header",
            format!(
                "is `{name}`, which belongs to the connection or to Vault and cannot carry a credential"
            ),
        ));
    }
    Ok(name)
}

fn inject_parameter(name: String) -> Result<String, FieldError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(name);
    }
    Err(FieldError::new(
        "inject.query",
        format!(
            "is `{}`, but a parameter's name is 1 to 64 letters, digits and `- . _ ~`",
            shown(&name)
        ),
    ))
}

/// RFC 7617: the first colon ends the user name.
fn basic_username(text: &str) -> Result<Template, FieldError> {
    if text.contains(':') {
        return Err(FieldError::new(
            "inject.basic.username",
            "holds a `:`, which a basic user name cannot",
        ));
    }
    Template::parse("inject.basic.username", text)
}

fn pass_header(text: &str) -> Result<HeaderName, FieldError> {
    let name = header_name("pass_headers", text)?;
    if !headers::may_be_passed(&name) {
        return Err(FieldError::new(
            "pass_headers",
            format!("holds `{name}`, which is never held back, or never passed; leave it out"),
        ));
    }
    Ok(name)
}

fn header_name(place: &'static str, text: &str) -> Result<HeaderName, FieldError> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
        FieldError::new(
            place,
            format!("holds `{}`, which is no name of a header", shown(text)),
        )
    })
}

fn timeout(text: Option<&str>) -> Result<Duration, FieldError> {
    let (default, most) = TIMEOUT;
    let Some(text) = text else { return Ok(default) };
    match humantime::parse_duration(text) {
        Ok(time) if !time.is_zero() && time <= most => Ok(time),
        _ => Err(FieldError::new(
            "timeout",
            format!(
                "is `{}`; expected a time up to 1h, such as `\"30s\"`",
                shown(text)
            ),
        )),
    }
}

fn size(field: &'static str, text: Option<&str>) -> Result<usize, FieldError> {
    let (default, most) = BODY;
    let Some(text) = text else { return Ok(default) };
    let refuse = || {
        FieldError::new(
            field,
            format!(
                "is `{}`; expected a size up to 256MiB, such as `\"8MiB\"`",
                shown(text)
            ),
        )
    };
    let size: ByteSize = text.parse().map_err(|_| refuse())?;
    if size.as_u64() > most {
        return Err(refuse());
    }
    usize::try_from(size.as_u64()).map_err(|_| refuse())
}

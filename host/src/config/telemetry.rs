//! The `[telemetry]` table: where traces go.

use std::fmt;
use std::net::IpAddr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use url::{Host, Url};

use super::value::bounded;

/// Where traces go, and as whose.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Table")]
pub struct TelemetryConfig {
    /// The collector.
    pub otlp: Collector,
    /// `service.name` of what is sent. Default `cofferdam`.
    pub service: String,
    /// The part of all runs whose spans are sent, from 0 to 1. Default 1.
    pub sample: f64,
}

/// The address of a collector that speaks OTLP over HTTP:
/// `http(s)://host[:port][/prefix]`, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Collector(Url);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    otlp: Collector,
    #[serde(default)]
    plain: bool,
    #[serde(default = "default_service", deserialize_with = "service")]
    service: String,
    #[serde(default = "all", deserialize_with = "part")]
    sample: f64,
}

/// The longest service name, in characters.
const MAX_SERVICE: usize = 64;

fn default_service() -> String {
    "cofferdam".to_owned()
}

fn all() -> f64 {
    1.0
}

impl TryFrom<Table> for TelemetryConfig {
    type Error = &'static str;

    fn try_from(table: Table) -> Result<Self, Self::Error> {
        if !table.plain && !table.otlp.is_encrypted() && !table.otlp.is_loopback() {
            return Err(
                "`otlp` is plain http to another machine, where anybody on the way reads what ran; use `https://`, or say `plain = true`",
            );
        }
        Ok(Self {
            otlp: table.otlp,
            service: table.service,
            sample: table.sample,
        })
    }
}

impl Collector {
    /// True for `https`.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
            None => false,
        }
    }
}

impl TryFrom<String> for Collector {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // The text itself is not echoed: it may hold `user:password@`.
        let mut url = Url::parse(&text).map_err(
            |_| "not the address of a collector\nwrite a URL such as `http://127.0.0.1:4318`",
        )?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(
                "only `https://` and `http://` are known\nOTLP over gRPC is not; most collectors speak HTTP on port 4318",
            );
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "it holds a user name or a password\nsend to a collector of your own, which knows the other one's password",
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("it holds `?` or `#`\nleave them out");
        }
        let path = url.path().trim_end_matches('/').to_owned();
        if path.ends_with("/v1/traces") {
            return Err("it ends in `/v1/traces`\nleave that out: it is added to each request");
        }
        url.set_path(&path);
        Ok(Self(url))
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

fn service<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let length = name.chars().count();
    if length == 0 || length > MAX_SERVICE || name.chars().any(char::is_control) {
        return Err(D::Error::custom(format!(
            "`{}` is not the name of a service\nwrite 1 to {MAX_SERVICE} characters",
            bounded(&name)
        )));
    }
    Ok(name)
}

fn part<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let part = deserializer.deserialize_any(Number)?;
    if (0.0..=1.0).contains(&part) {
        Ok(part)
    } else {
        Err(D::Error::custom(format!(
            "`{part}` is out of range\nchoose a value from 0 to 1, such as 0.1 for a tenth of all runs"
        )))
    }
}

/// TOML tells `1` from `1.0`; people do not.
struct Number;

impl Visitor<'_> for Number {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number from 0 to 1")
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<f64, E> {
        Ok(number)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<f64, E> {
        // What is lost of a huge one does not matter: it is out of range.
        #[expect(clippy::cast_precision_loss, reason = "only 0 and 1 are accepted")]
        Ok(number as f64)
    }
}

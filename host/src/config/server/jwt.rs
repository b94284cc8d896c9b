//! The `[server.tcp.jwt]` table: callers who bear a token.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use url::Url;

use crate::config::value::{self, Range};

/// The longest issuer or audience, in bytes.
const MAX_NAME: usize = 255;

/// Whose tokens are taken, and for whom they must be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Table")]
pub struct JwtConfig {
    /// Where the issuer's public keys are.
    pub jwks: KeySetPlace,
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must be, or hold.
    pub audience: String,
    /// How far the issuer's clock and ours may be apart. Default `10s`.
    pub leeway: Duration,
}

/// Where a key set (JWKS) is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySetPlace {
    /// A file; read anew at each reload.
    File(PathBuf),
    /// An `https://` address; asked anew every five minutes, and when a token
    /// names a key that is not known.
    Url {
        /// The address, without user, password and fragment.
        url: Url,
        /// PEM certificates to trust instead of the system's.
        ca: Option<PathBuf>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(deserialize_with = "key_set")]
    jwks: KeySetPlace,
    jwks_ca: Option<PathBuf>,
    #[serde(deserialize_with = "issuer")]
    issuer: String,
    #[serde(deserialize_with = "name")]
    audience: String,
    #[serde(default = "default_leeway", deserialize_with = "leeway")]
    leeway: Duration,
}

impl JwtConfig {
    /// `leeway`. More would keep a token alive that its issuer has ended.
    pub const LEEWAY: Range<Duration> = Range {
        default: Duration::from_secs(10),
        min: Duration::ZERO,
        max: Duration::from_secs(300),
    };

    /// Makes the paths absolute; `root` is the folder of the file.
    pub(super) fn resolve(&mut self, root: &Path) {
        match &mut self.jwks {
            KeySetPlace::File(file) | KeySetPlace::Url { ca: Some(file), .. } => {
                *file = root.join(&*file);
            }
            KeySetPlace::Url { ca: None, .. } => {}
        }
    }
}

impl TryFrom<Table> for JwtConfig {
    type Error = &'static str;

    fn try_from(table: Table) -> Result<Self, Self::Error> {
        let jwks = match (table.jwks, table.jwks_ca) {
            (KeySetPlace::Url { url, .. }, ca) => KeySetPlace::Url { url, ca },
            (file @ KeySetPlace::File(_), None) => file,
            (KeySetPlace::File(_), Some(_)) => {
                return Err(
                    "`jwks_ca` has no use for a file; leave it out, or name a URL in `jwks`",
                );
            }
        };
        Ok(Self {
            jwks,
            issuer: table.issuer,
            audience: table.audience,
            leeway: table.leeway,
        })
    }
}

fn key_set<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeySetPlace, D::Error> {
    // The text itself is not echoed: it may hold `user:password@`.
    let wrong = serde::de::Error::custom;
    let text = String::deserialize(deserializer)?;
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(wrong(
            "not the name of a key set\nwrite a file, or a URL such as \
             `https://login.example.com/keys`",
        ));
    }
    if !text.contains("://") {
        return Ok(KeySetPlace::File(text.into()));
    }
    let url = Url::parse(&text).ok();
    let url = url.filter(|url| url.scheme() == "https" && url.host().is_some());
    let url = url.ok_or_else(|| {
        wrong(
            "not a file and not an `https://` address\nwhoever answers in its place could make \
             tokens, so only TLS will do",
        )
    })?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(wrong(
            "it holds a user, a password or `#`\nkeys are public; leave it out",
        ));
    }
    Ok(KeySetPlace::Url { url, ca: None })
}

/// A text of a token that is compared, and shown in logs and the audit.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.len() {
        1..=MAX_NAME if !text.chars().any(char::is_control) => Ok(text),
        _ => Err(serde::de::Error::custom(format!(
            "not 1 to {MAX_NAME} characters\nwrite it as it stands in the tokens, to the letter"
        ))),
    }
}

/// Without `#`: between issuer and subject it tells where one ends.
fn issuer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = name(deserializer)?;
    match text.contains('#') {
        false => Ok(text),
        true => Err(serde::de::Error::custom(
            "it holds `#`\nan issuer is a URL without a fragment (RFC 8414)",
        )),
    }
}

fn default_leeway() -> Duration {
    JwtConfig::LEEWAY.default
}

fn leeway<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    value::duration(deserializer, &JwtConfig::LEEWAY)
}

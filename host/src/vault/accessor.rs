//! The name under which a token can be revoked without being known.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A token's accessor. Whoever holds it and a log-in can end the token, so it
/// appears in the journal only: never in logs, errors, reports or the audit.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Accessor(String);

impl Accessor {
    /// The text, for the body of a request.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Accessor {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // OpenBao and Vault make 24 letters and digits, a namespace adds `.id`.
        if !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text))
        } else {
            Err("an accessor is 1 to 128 visible ASCII characters")
        }
    }
}

impl fmt::Debug for Accessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accessor(***)")
    }
}

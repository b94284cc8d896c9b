//! The name of a policy.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::HOST_POLICY;

/// A policy that a grants file may name: 1 to 128 of `a-z 0-9 . _ -`, since
/// Vault makes names lower-case, and none that every token or the host has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct PolicyName(String);

/// A text that cannot be a [`PolicyName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` cannot be an attempt's policy: {rule}")]
pub struct InvalidPolicyName {
    shown: String,
    rule: &'static str,
}

impl PolicyName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PolicyName {
    type Err = InvalidPolicyName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
        let rule = if !(1..=128).contains(&text.len()) || !text.bytes().all(plain) {
            "a name is 1 to 128 of `a-z 0-9 . _ -`"
        } else if matches!(
            text,
            "root" | "default" | "response-wrapping" | "control-group"
        ) {
            "Vault itself gives this one a meaning"
        } else if text == HOST_POLICY {
            "it is the host's own"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(InvalidPolicyName {
            shown: text.chars().take(80).flat_map(char::escape_debug).collect(),
            rule,
        })
    }
}

impl TryFrom<String> for PolicyName {
    type Error = InvalidPolicyName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_meaning_are_refused() {
        for good in ["cofferdam-dag", "a", "team.x_1"] {
            assert!(good.parse::<PolicyName>().is_ok(), "{good}");
        }
        let long = "x".repeat(129);
        for bad in [
            "",
            "root",
            "default",
            "cofferdam-host",
            "Team",
            "a/b",
            "a*",
            "a b",
            "a\u{1b}",
            &long,
        ] {
            assert!(bad.parse::<PolicyName>().is_err(), "{bad}");
        }
    }
}

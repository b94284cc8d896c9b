//! Names that appear in files, policies and audit lines. A value of one of
//! these types is well-formed by construction.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that does not have the form its kind demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a valid {kind}: {rule}")]
pub struct InvalidName {
    kind: &'static str,
    value: String,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $extra:pat) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(value: &str) -> Result<Self, Self::Err> {
                let well_formed = (1..=64).contains(&value.len())
                    && value.bytes().all(|b| {
                        b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, $extra)
                    });
                if well_formed {
                    Ok(Self(value.to_owned()))
                } else {
                    Err(InvalidName {
                        kind: $kind,
                        // The value may come from anywhere: bound it and escape it.
                        value: value.chars().take(80).flat_map(char::escape_debug).collect(),
                        rule: $rule,
                    })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(value: String) -> Result<Self, Self::Error> {
                value.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The name of a task: `[a-z0-9-]{1,64}`. Vault lower-cases policy names,
    /// so upper case is refused, never folded.
    TaskName, "task name", "1 to 64 of a-z, 0-9 and -", b'-'
}

name! {
    /// The name of a grant: `[a-z0-9_-]{1,64}`.
    GrantName, "grant name", "1 to 64 of a-z, 0-9, - and _", b'-' | b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_a_policy_could_misread() {
        for bad in [
            "",
            "Invoice",
            "a*b",
            "a/b",
            "a.b",
            "../x",
            "a\n",
            "a b",
            &"x".repeat(65),
        ] {
            assert!(bad.parse::<TaskName>().is_err(), "{bad:?}");
        }
        assert_eq!(
            "invoice-sync2".parse::<TaskName>().unwrap().as_str(),
            "invoice-sync2"
        );
        assert!("a_b".parse::<TaskName>().is_err());
        assert!("a_b".parse::<GrantName>().is_ok());
    }

    #[test]
    fn the_message_escapes_control_characters() {
        let message = "a\u{1b}[2J".parse::<TaskName>().unwrap_err().to_string();
        assert!(!message.contains('\u{1b}'), "{message}");
    }
}

//! The one place that reads the environment for the host's own use.

use std::fmt;
use std::os::unix::ffi::OsStringExt;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{MIN_SECRET_LEN, Secret};
use crate::diagnostic::{Blame, Diagnostic, Exit};

/// The name of an environment variable: `[A-Z_][A-Z0-9_]*`, at most 64.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct VariableName(String);

impl TryFrom<String> for VariableName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = (1..=64).contains(&text.len())
            && !text.starts_with(|first: char| first.is_ascii_digit())
            && text
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        // A token in its place would be echoed nowhere, this text included.
        fits.then_some(Self(text))
            .ok_or("the name of an environment variable has 1 to 64 of A-Z 0-9 _")
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An environment variable that holds no usable credential. Its value is never
/// part of the text.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable `{name}` {fault}")]
pub struct CredentialVariableError {
    name: VariableName,
    fault: &'static str,
}

impl Diagnostic for CredentialVariableError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Operator
    }

    fn hint(&self) -> Option<String> {
        Some(format!(
            "export `{}` with the credential alone, in one line",
            self.name
        ))
    }
}

/// Reads a credential from the environment.
///
/// # Errors
/// A variable that is not set, or holds no single line of at least
/// [`MIN_SECRET_LEN`] characters.
pub fn read_variable(name: &VariableName) -> Result<Secret, CredentialVariableError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place; the operator's file names the variable"
    )]
    let value = std::env::var_os(&name.0);
    check(value.map(|value| Zeroizing::new(value.into_vec()))).map_err(|fault| {
        CredentialVariableError {
            name: name.clone(),
            fault,
        }
    })
}

fn check(value: Option<Zeroizing<Vec<u8>>>) -> Result<Secret, &'static str> {
    let value = value.ok_or("is not set")?;
    if value.len() < MIN_SECRET_LEN {
        return Err("does not hold a credential of at least 8 characters");
    }
    match std::str::from_utf8(&value) {
        Ok(line) if !line.chars().any(char::is_control) => Ok(Secret::new(value.as_slice())),
        _ => Err("holds control characters or is not text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_is_a_credential() {
        let check = |text: &[u8]| check(Some(Zeroizing::new(text.to_vec())));
        assert_eq!(
            check(b"hunter2-hunter2").expect("fine").expose(),
            b"hunter2-hunter2"
        );
        for bad in [&b""[..], b"hunter2", b"hunter2\nhunter2", b"hunter2-\xff"] {
            assert!(!check(bad).expect_err("refused").contains("hunter2"));
        }
        assert!(super::check(None).is_err());
    }

    #[test]
    fn a_name_is_a_name_and_no_token() {
        for good in ["VAULT_TOKEN", "_X", "A1"] {
            assert!(VariableName::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "1A", "vault_token", "A=B", "s.0123456789", "A B"] {
            let refused = VariableName::try_from(bad.to_owned()).expect_err(bad);
            assert!(bad.is_empty() || !refused.contains(bad));
        }
    }
}

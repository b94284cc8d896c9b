//! The token that callers must send.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use subtle::ConstantTimeEq as _;

/// A bearer token. `Debug` does not show it.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Reads the token from a file; a newline at its end does not count.
    pub fn from_file(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let token = text.trim_end_matches(['\r', '\n']);
        if token.is_empty() {
            bail!("{} holds no token", file.display());
        }
        Ok(Self(token.to_owned()))
    }

    /// Whether an `authorization` header's value carries this token. The
    /// comparison takes the same time wherever the first difference is.
    pub(crate) fn is_in(&self, authorization: Option<&[u8]>) -> bool {
        let given = authorization.and_then(|value| value.strip_prefix(b"Bearer "));
        given.is_some_and(|given| given.ct_eq(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_hold_one_token() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        assert!(Token::from_file(&file).is_err());
        std::fs::write(&file, "\n").unwrap();
        assert!(Token::from_file(&file).is_err());
        std::fs::write(&file, "t0ken\n").unwrap();
        let token = Token::from_file(&file).unwrap();
        assert!(token.is_in(Some(b"Bearer t0ken")));
        for wrong in [
            &b"Bearer t0ke"[..],
            b"Bearer t0kenn",
            b"bearer t0ken",
            b"t0ken",
            b"",
        ] {
            assert!(!token.is_in(Some(wrong)));
        }
        assert!(!token.is_in(None));
        assert!(!format!("{token:?}").contains("t0ken"));
    }
}

//! `[vault.identity]`: as whom this host vouches for attempts that log in as
//! themselves.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Longest `issuer` or `audience`: URLs and names of people's own choice.
const MAX_TEXT: usize = 255;

/// The `[vault.identity]` table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityConfig {
    /// `iss` of every JWT that this host signs; `bound_issuer` of the mount.
    pub issuer: IdentityText,
    /// `aud` of every JWT; `bound_audiences` of every role.
    pub audience: IdentityText,
    /// The operator's own signing key, PEM (PKCS #8, P-256). Without it the
    /// host makes one in its state folder.
    pub key_file: Option<PathBuf>,
}

/// A name that both sides compare byte by byte: visible ASCII.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct IdentityText(String);

impl IdentityText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for IdentityText {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = (1..=MAX_TEXT).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text))
        } else {
            Err(
                "not a name that Vault can be told\nwrite 1 to 255 visible ASCII characters, such as `https://cofferdam.example.com`",
            )
        }
    }
}

impl IdentityConfig {
    /// Makes a relative path relative to this folder.
    pub(super) fn resolve(&mut self, root: &Path) {
        if let Some(file) = &mut self.key_file {
            *file = root.join(&*file);
        }
    }
}

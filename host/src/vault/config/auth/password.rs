//! Log-ins with a user name and a password.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use super::mount;
use crate::vault::path::VaultPath;

/// `[vault.auth.userpass]`, `[vault.auth.ldap]`, `[vault.auth.okta]` and
/// `[vault.auth.radius]`: a user name, and a password in a file that is read
/// anew at each log-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordConfig {
    /// Which of the methods.
    pub method: PasswordMethod,
    /// Where the method is mounted, below `auth/`. Default: its name.
    pub mount: VaultPath,
    /// Who logs in.
    pub username: UserName,
    /// The file that holds the password.
    pub password_file: PathBuf,
}

/// The methods that take a user name in the path and a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum PasswordMethod {
    /// Users that Vault itself keeps.
    Userpass,
    /// A directory.
    Ldap,
    /// Okta. It may hold the request until a person confirms, so `timeout` of
    /// `[vault]` must leave room for that.
    Okta,
    /// A RADIUS server.
    Radius,
}

/// A user name, which becomes one segment of a path: `[A-Za-z0-9._@-]`, at most
/// 128 characters, not `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct UserName(String);

/// A text that cannot be a [`UserName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a user name has 1 to 128 of the characters A-Z a-z 0-9 . _ @ -")]
pub struct InvalidUserName;

impl UserName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserName {
    type Error = InvalidUserName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = (1..=128).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'@' | b'-'))
            && !matches!(text.as_str(), "." | "..");
        if fits {
            Ok(Self(text))
        } else {
            Err(InvalidUserName)
        }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPassword {
    mount: Option<VaultPath>,
    username: UserName,
    password_file: PathBuf,
}

impl RawPassword {
    pub(super) fn parse(self, method: PasswordMethod) -> Result<PasswordConfig, &'static str> {
        Ok(PasswordConfig {
            method,
            mount: mount(self.mount, &method.to_string())?,
            username: self.username,
            password_file: self.password_file,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_stays_in_its_segment() {
        for good in ["etl", "etl@example.com", "a.b-c_d", "...x"] {
            assert!(UserName::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "", ".", "..", "a/b", "a b", "a%2fb", "a?b", "a#b", "ä", "a\\b",
        ] {
            assert!(UserName::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}

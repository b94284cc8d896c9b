//! Why there is no key to sign with.

use std::io;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::secret::CredentialFileError;

/// Why the host's signing keys cannot be used. No variant carries any of a key.
#[derive(Debug, thiserror::Error)]
pub enum IdentityKeyError {
    /// The file of a key cannot be read or trusted.
    #[error(transparent)]
    File(#[from] CredentialFileError),
    /// The file does not hold a key of the right kind.
    #[error("the file {} does not hold a P-256 key in PKCS #8 PEM", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The list of retired keys is not of our making.
    #[error("the list of retired keys {} cannot be understood", path.display())]
    Retired {
        /// The file.
        path: PathBuf,
    },
    /// Others can use the folder of the keys.
    #[error("the folder of the signing keys {} is not safe: {rule}", path.display())]
    UnsafeFolder {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        rule: &'static str,
    },
    /// The file system refuses.
    #[error("{} cannot be {doing}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// `made`, `written`, …
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The system has no randomness, or the library fails.
    #[error("no key could be made or used")]
    Crypto,
    /// There is nothing of ours to rotate.
    #[error("the operator keeps the signing key {}", path.display())]
    Operators {
        /// `key_file`.
        path: PathBuf,
    },
}

impl IdentityKeyError {
    pub(super) fn io(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            path,
            doing,
            source,
        }
    }
}

impl Diagnostic for IdentityKeyError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Crypto => Blame::Host,
            _ => Blame::Operator,
        }
    }

    fn hint(&self) -> Option<String> {
        let cure = match self {
            Self::File(error) => return error.hint(),
            Self::Malformed { .. } => {
                "make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE`"
            }
            Self::Retired { .. } => {
                "remove it: keys that were replaced less than ten minutes ago are then unknown to Vault"
            }
            Self::UnsafeFolder { .. } => {
                "give the state folder to the user that runs cofferdam, mode 0700, and run every command as that user"
            }
            Self::Io { .. } => "the state folder needs a local, writable file system with room",
            Self::Operators { .. } => {
                "put a new key into the file once Vault knows it; or leave `key_file` out of `[vault.identity]`, and the host keeps keys of its own"
            }
            Self::Crypto => return None,
        };
        Some(cure.to_owned())
    }
}

//! Why a key set cannot be used.

use std::path::PathBuf;

use crate::config::guarded::FileError;
use crate::diagnostic::{Blame, Diagnostic, Exit};

/// A key set (JWKS) that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// The file cannot be read, or others can write it.
    #[error("`server.tcp.jwt.jwks` cannot be used")]
    File(#[from] FileError),
    /// The certificates of `jwks_ca` cannot be used.
    #[error("`server.tcp.jwt.jwks_ca`: `{}` {fault}", path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: &'static str,
    },
    /// TLS or the HTTP client cannot be set up.
    #[error("the key set cannot be fetched: {0}")]
    Client(&'static str),
    /// It did not come.
    #[error("the key set at `{url}` cannot be fetched: {fault}")]
    Fetch {
        /// Where it should be.
        url: String,
        /// What went wrong.
        fault: &'static str,
    },
    /// What came, or what the file holds, is none.
    #[error("the key set `{place}` {fault}")]
    Content {
        /// The file or the URL.
        place: String,
        /// What is wrong.
        fault: &'static str,
    },
}

impl Diagnostic for KeySetError {
    fn exit(&self) -> Exit {
        match self {
            // It may come later: whoever starts the service again has a chance.
            Self::Fetch { .. } => Exit::Unavailable,
            _ => Exit::Usage,
        }
    }

    fn blame(&self) -> Blame {
        Blame::Operator
    }

    fn hint(&self) -> Option<String> {
        let cure = match self {
            Self::File(error) => return error.hint(),
            Self::Ca { .. } => "it holds certificates in PEM",
            Self::Client(_) => "look at the system's trusted certificates, or set `jwks_ca`",
            Self::Fetch { .. } => {
                "`jwks` is what the issuer's discovery document calls `jwks_uri`; for an authority \
                 of your own set `jwks_ca`"
            }
            Self::Content { .. } => {
                "it is a JSON Web Key Set (RFC 7517) with a public key for signatures: RSA from \
                 2048 bits, P-256, P-384 or Ed25519"
            }
        };
        Some(cure.to_owned())
    }
}

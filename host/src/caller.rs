//! Who asked the service for a run: a fact of the connection, not a claim.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "via", rename_all = "snake_case")]
pub enum Caller {
    /// A process of this machine; the kernel's word (`SO_PEERCRED`) about the
    /// moment at which it connected.
    Unix {
        /// Its user.
        uid: u32,
        /// Its primary group.
        gid: u32,
        /// Its number; none when it lives in another pid namespace.
        pid: Option<i32>,
    },
}

/// To whom a run belongs: what stays the same from one connection of a caller
/// to the next.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Owner(Arc<str>);

impl Caller {
    /// To whom its runs belong.
    pub fn owner(&self) -> Owner {
        match self {
            Self::Unix { uid, .. } => Owner(format!("uid:{uid}").into()),
        }
    }
}

impl Owner {
    /// As text, such as `uid:1000`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Owner {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Owner> for String {
    fn from(owner: Owner) -> Self {
        owner.0.as_ref().to_owned()
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

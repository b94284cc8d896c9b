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
    /// Whoever holds the key of a certificate for which `server.tcp.client_ca`
    /// vouches.
    Certificate {
        /// Its name: a URI as it stands there (a SPIFFE id), `dns:…` or `cn:…`.
        subject: String,
    },
    /// Whoever holds a token of the issuer of `[server.tcp.jwt]`.
    Token {
        /// Who says so: `iss`.
        issuer: String,
        /// Of whom: `sub`.
        subject: String,
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
            Self::Certificate { subject } => Owner(format!("cert:{subject}").into()),
            // An issuer holds no `#`, so no two pairs are the same text.
            Self::Token { issuer, subject } => Owner(format!("jwt:{issuer}#{subject}").into()),
        }
    }
}

impl Owner {
    /// As text, such as `uid:1000`, `cert:spiffe://example.org/airflow` or
    /// `jwt:https://login.example.com#airflow`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_of_two_kinds_or_issuers_are_two_owners() {
        let token = |issuer: &str, subject: &str| Caller::Token {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
        };
        let certificate = |subject: &str| Caller::Certificate {
            subject: subject.to_owned(),
        };
        let unix = Caller::Unix {
            uid: 1,
            gid: 1,
            pid: None,
        };
        let owners = [
            unix.owner(),
            certificate("uid:1").owner(),
            certificate("cn:x").owner(),
            certificate("jwt:https://a#x").owner(),
            token("https://a", "x").owner(),
            token("https://b", "x").owner(),
            token("https://a", "b#x").owner(),
            token("https://a", "cn:x").owner(),
        ];
        let apart: std::collections::BTreeSet<_> = owners.iter().collect();
        assert_eq!(apart.len(), owners.len());
    }

    #[test]
    fn the_audit_says_how_it_is_known() {
        let told = |caller: &Caller| serde_json::to_value(caller).unwrap();
        assert_eq!(
            told(&Caller::Certificate {
                subject: "cn:x".to_owned()
            }),
            serde_json::json!({ "via": "certificate", "subject": "cn:x" })
        );
        assert_eq!(
            told(&Caller::Token {
                issuer: "i".to_owned(),
                subject: "s".to_owned()
            }),
            serde_json::json!({ "via": "token", "issuer": "i", "subject": "s" })
        );
    }
}

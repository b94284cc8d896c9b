//! The `[http.NAME]` table.

use std::time::Duration;

use http::HeaderName;
use serde::Deserialize;
use url::Url;

use super::document::RawHttpGrant;
use super::path::RequestPath;
use super::rule::AllowRule;
use super::template::Template;
use crate::capability::credential::CredentialSource;
use crate::capability::network::Network;
use crate::vault::policy::PolicyRules;

/// One API that a task may call.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawHttpGrant")]
pub struct HttpGrant {
    /// Base address; its path ends in `/`.
    pub base: Url,
    /// Method and path patterns, matched on the bytes that are sent.
    pub allow: Vec<AllowRule>,
    /// Where the credential comes from and how it is applied; none for a public API.
    pub credential: Option<HttpCredential>,
    /// Which addresses the name may resolve to.
    pub network: Network,
    /// True when `http://` is allowed.
    pub plain: bool,
    /// Time for one exchange. Default 30 s.
    pub timeout: Duration,
    /// Largest request body in bytes. Default 8 MiB.
    pub max_request: usize,
    /// Largest response body in bytes, after decoding. Default 8 MiB.
    pub max_response: usize,
    /// Response headers that carry credentials but may pass (`set-cookie`, …).
    pub pass_headers: Vec<HeaderName>,
}

/// A credential and how it is put on a request.
#[derive(Debug, Clone)]
pub struct HttpCredential {
    /// Where it comes from.
    pub source: CredentialSource,
    /// How it is applied.
    pub inject: Injection,
}

/// How a credential is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Injection {
    /// A header whose value is a template over the secret's fields.
    Header {
        /// The header's name.
        name: HeaderName,
        /// Such as `Bearer {token}`.
        value: Template,
    },
    /// `Authorization: Basic`, from two templates over the secret's fields.
    Basic {
        /// Template of the user name.
        username: Template,
        /// Template of the password.
        password: Template,
    },
    /// A query parameter.
    Query {
        /// The parameter's name: letters, digits and `- . _ ~`.
        name: String,
        /// Template of its value.
        value: Template,
    },
}

impl HttpGrant {
    /// What the grant needs in Vault.
    pub fn policy(&self, rules: &mut PolicyRules) {
        if let Some(credential) = &self.credential {
            credential.source.policy(rules);
        }
    }

    /// Whether a rule covers a request.
    pub(super) fn covers(&self, method: &str, path: &RequestPath) -> bool {
        self.allow.iter().any(|rule| rule.covers(method, path))
    }
}

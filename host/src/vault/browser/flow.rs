//! The two requests to Vault, before and after the browser.

use std::time::{Duration, Instant};

use http::Method;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use super::TokenSlot;
use crate::secret::Secret;
use crate::vault::auth::Asked;
use crate::vault::client::{Call, Client};
use crate::vault::config::{CallbackPort, OidcConfig};
use crate::vault::error::Operation;
use crate::vault::path::{VaultName, VaultPath};
use crate::vault::{VaultConfig, VaultError};

/// The path of the redirect URI; roles allow it in whole.
pub const CALLBACK_PATH: &str = "/oidc/callback";

const CURE: &str = "the code is used up or expired, the provider does not admit this person, or the role is bound to another audience or to other claims";

/// A log-in that was begun and waits for the browser.
pub struct BrowserLogin {
    client: Client,
    mount: VaultPath,
    url: Url,
    state: String,
    /// Ours alone: whoever took the code from the browser cannot use it.
    nonce: Secret,
}

/// What became of a finished log-in. The token itself is in the file.
#[derive(Debug, Clone, Copy)]
pub struct LoggedIn {
    /// How long it lives; `None` for one that does not end.
    pub life: Option<Duration>,
}

#[derive(Serialize)]
struct Begin<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a VaultName>,
    redirect_uri: &'a str,
    client_nonce: &'a str,
}

#[derive(Deserialize)]
struct Begun {
    auth_url: String,
}

/// Where the browser comes back to. By name, as Vault's documentation and so
/// every role has it; we listen on 127.0.0.1 alone.
pub fn redirect_uri(port: CallbackPort) -> String {
    format!("http://localhost:{}{CALLBACK_PATH}", port.get())
}

impl BrowserLogin {
    /// Asks Vault where to send the browser. Makes nothing yet.
    ///
    /// # Errors
    /// No such role, or one that does not allow the redirect URI.
    pub async fn begin(config: &VaultConfig, oidc: &OidcConfig) -> Result<Self, VaultError> {
        let client = Client::new(config)?;
        // 122 random bits, from the system.
        let nonce = Uuid::new_v4().to_string();
        let call = Call::with_body(
            Operation::LogIn,
            Method::POST,
            &format!("auth/{}/oidc/auth_url", oidc.mount),
            &Begin {
                role: oidc.role.as_ref(),
                redirect_uri: &redirect_uri(oidc.port),
                client_nonce: &nonce,
            },
        )?;
        let refused = || VaultError::LoginRefused {
            mount: oidc.mount.to_string(),
            cure: "there is no such role, or its `allowed_redirect_uris` do not name `http://localhost:PORT/oidc/callback` with the port of this log-in",
        };
        let reply = client.send(&call, None).await?;
        if matches!(reply.status(), 400 | 403) {
            return Err(refused());
        }
        let (begun, _) = reply.success()?.data::<Begun>()?;
        // Vault answers without an address when the role does not allow ours.
        if begun.auth_url.is_empty() {
            return Err(refused());
        }
        let (url, state) = parse(&begun.auth_url).ok_or(VaultError::Protocol {
            operation: Operation::LogIn,
            fault: "it holds no address for a browser",
        })?;
        Ok(Self {
            client,
            mount: oidc.mount.clone(),
            url,
            state,
            nonce: Secret::new(nonce),
        })
    }

    /// Where to send the browser.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// What the browser must bring back: it shows that this log-in sent it.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Gives Vault the code that the browser brought, and puts the token into
    /// its file. Never repeated.
    ///
    /// # Errors
    /// A refusal, or a file that cannot be written; then the token is revoked.
    pub async fn finish(self, code: &str, slot: TokenSlot) -> Result<LoggedIn, VaultError> {
        let call = Call::with_query(
            Operation::LogIn,
            &format!("auth/{}/oidc/callback", self.mount),
            &[
                ("state", &self.state),
                ("code", code),
                ("client_nonce", self.nonce.expose_str().unwrap_or_default()),
            ],
        )?;
        let asked = Asked {
            mount: &self.mount,
            cure: CURE,
            obtained_by: Vec::new(),
        };
        let login = asked.send(&self.client, &call).await?;
        if let Err(error) = slot.write(&login.token) {
            super::log_out::give_back(&self.client, &login.token).await;
            return Err(error.into());
        }
        Ok(LoggedIn {
            life: login
                .ends
                .map(|ends| ends.saturating_duration_since(Instant::now())),
        })
    }
}

/// An address that a browser may be sent to, and the state in it.
fn parse(text: &str) -> Option<(Url, String)> {
    let url = Url::parse(text).ok()?;
    let mut states = url.query_pairs().filter(|(name, _)| name == "state");
    let (_, state) = states.next()?;
    let is_good = matches!(url.scheme(), "https" | "http")
        && url.host().is_some()
        && !state.is_empty()
        && states.next().is_none();
    let state = state.into_owned();
    is_good.then_some((url, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_web_address_with_one_state_is_taken() {
        let (_, state) = parse("https://idp.example.com/a?x=1&state=st_a%2Cns%3Db").expect("fine");
        assert_eq!(state, "st_a,ns=b");
        for bad in [
            "",
            "--help",
            "file:///etc/passwd?state=a",
            "javascript:alert(1)?state=a",
            "https://idp.example.com/",
            "https://idp.example.com/?state=",
            "https://idp.example.com/?state=a&state=b",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}

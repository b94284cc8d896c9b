//! What every method does with the answer to its log-in.

use std::time::{Duration, Instant};

use crate::secret::Secret;
use crate::vault::VaultError;
use crate::vault::accessor::Accessor;
use crate::vault::auth::{Login, Owner};
use crate::vault::client::{Call, Client};
use crate::vault::error::Operation;
use crate::vault::path::VaultPath;

/// A log-in that is about to be sent.
pub(in crate::vault) struct Asked<'a> {
    /// The method's mount.
    pub(in crate::vault) mount: &'a VaultPath,
    /// What helps when Vault refuses it.
    pub(in crate::vault) cure: &'static str,
    /// The credentials that it shows.
    pub(in crate::vault) obtained_by: Vec<Secret>,
}

impl Asked<'_> {
    /// Sends the request, once, and takes the token from its answer.
    pub(in crate::vault) async fn send(
        self,
        client: &Client,
        call: &Call,
    ) -> Result<Login, VaultError> {
        // Before the request, so that the end is not thought later than it is.
        let asked = Instant::now();
        let reply = client.send(call, None).await?;
        // OpenBao and Vault say 400 for wrong credentials, and 403 for some
        // that are bound to another address or that a reviewer turned down.
        if matches!(reply.status(), 400 | 403) {
            return Err(VaultError::LoginRefused {
                mount: self.mount.to_string(),
                cure: self.cure,
            });
        }
        let protocol = |fault| VaultError::Protocol {
            operation: Operation::LogIn,
            fault,
        };
        let auth = reply
            .success()?
            .envelope::<serde::de::IgnoredAny>()?
            .auth
            .ok_or(protocol("it holds no token"))?;
        if auth.token_type != "service" {
            // A batch token cannot be revoked and has no children.
            return Err(VaultError::LoginUnusable {
                reason: "the log-in role makes tokens of another type than `service`",
                cure: "set `token_type=service` on the AppRole, or on the role of your log-in",
            });
        }
        if auth.num_uses != 0 {
            give_back(client, &auth.client_token).await;
            return Err(VaultError::LoginUnusable {
                reason: "the log-in role limits how often its tokens are used",
                cure: "set `token_num_uses=0` on the AppRole, or on the role of your log-in",
            });
        }
        let accessor =
            Accessor::try_from(auth.accessor).map_err(|_| protocol("the token has no accessor"))?;
        Ok(Login {
            token: auth.client_token,
            owner: Owner::Process(accessor),
            ends: (auth.lease_duration > 0)
                .then(|| asked + Duration::from_secs(auth.lease_duration)),
            renewable: auth.renewable,
            obtained_by: self.obtained_by,
        })
    }
}

/// Ends a token that will not be used, as well as it goes: it was never
/// journalled, and ends by itself after its few uses or its `token_ttl`.
async fn give_back(client: &Client, token: &Secret) {
    let given_back = async {
        let call = Call::with_body(
            Operation::Revoke,
            http::Method::POST,
            "auth/token/revoke-self",
            &serde_json::Map::new(),
        )?;
        client.send(&call, Some(token)).await?.confirmed()
    };
    if let Err(error) = given_back.await {
        tracing::warn!(
            reason = error.reason(),
            "an unusable log-in could not be revoked; it ends after its `token_ttl`"
        );
    }
}

/// A credential as the text that a request takes.
pub(super) fn text(secret: &Secret) -> Result<&str, VaultError> {
    secret.expose_str().ok_or(VaultError::Protocol {
        operation: Operation::LogIn,
        fault: "the credential is not text",
    })
}

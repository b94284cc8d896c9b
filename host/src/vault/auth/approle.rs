//! AppRole, with a plain or a response-wrapped secret-id.

use std::time::{Duration, Instant};

use serde::Deserialize;
use vaultrs::api::auth::approle::requests::LoginWithApproleRequest;
use vaultrs::api::sys::requests::{UnwrapRequest, WrappingLookupRequest};

use super::{Login, Owner};
use crate::secret::{MIN_SECRET_LEN, Privacy, Secret, read_file};
use crate::vault::VaultError;
use crate::vault::accessor::Accessor;
use crate::vault::client::{Call, Client};
use crate::vault::config::{AppRoleConfig, RoleId};
use crate::vault::error::Operation;

/// `[vault.auth.approle]`.
pub(in crate::vault) struct AppRole {
    config: AppRoleConfig,
    /// The secret-id that came out of its wrapping: it can be unwrapped once,
    /// and a second log-in of this process needs it again.
    unwrapped: Option<Secret>,
}

#[derive(Deserialize)]
struct Wrapping {
    creation_path: String,
}

#[derive(Deserialize)]
struct SecretId {
    secret_id: Secret,
}

impl AppRole {
    pub(super) fn new(config: AppRoleConfig) -> Self {
        Self {
            config,
            unwrapped: None,
        }
    }

    pub(super) async fn log_in(&mut self, client: &Client) -> Result<Login, VaultError> {
        let role_id = match &self.config.role_id {
            RoleId::Inline(id) => Secret::new(id.as_str()),
            RoleId::File(path) => read_file(path, Privacy::Public)?,
        };
        let secret_id = self.secret_id(client).await?;
        let call = Call::endpoint(
            Operation::LogIn,
            &LoginWithApproleRequest {
                mount: self.config.mount.to_string(),
                role_id: text(&role_id)?,
                secret_id: text(&secret_id)?,
            },
        )?;
        // Before the request, so that the end is not thought later than it is.
        let asked = Instant::now();
        let reply = client.send(&call, None).await?;
        // OpenBao and Vault say 400 for a wrong role-id or secret-id, and 403
        // for one that is bound to another address.
        if matches!(reply.status(), 400 | 403) {
            return Err(VaultError::LoginRefused {
                mount: self.config.mount.to_string(),
            });
        }
        let auth = reply
            .success()?
            .envelope::<serde::de::IgnoredAny>()?
            .auth
            .ok_or(VaultError::Protocol {
                operation: Operation::LogIn,
                fault: "it holds no token",
            })?;
        if auth.token_type != "service" {
            // A batch token cannot be revoked and has no children.
            return Err(VaultError::LoginUnusable {
                reason: "the log-in role makes tokens of another type than `service`",
                cure: "set `token_type=service` on the AppRole",
            });
        }
        if auth.num_uses != 0 {
            give_back(client, &auth.client_token).await;
            return Err(VaultError::LoginUnusable {
                reason: "the log-in role limits how often its tokens are used",
                cure: "set `token_num_uses=0` on the AppRole",
            });
        }
        let accessor = Accessor::try_from(auth.accessor).map_err(|_| VaultError::Protocol {
            operation: Operation::LogIn,
            fault: "the token has no accessor",
        })?;
        Ok(Login {
            token: auth.client_token,
            owner: Owner::Process(accessor),
            ends: (auth.lease_duration > 0)
                .then(|| asked + Duration::from_secs(auth.lease_duration)),
            obtained_by: vec![secret_id],
        })
    }

    async fn secret_id(&mut self, client: &Client) -> Result<Secret, VaultError> {
        if !self.config.wrapped {
            return Ok(read_file(&self.config.secret_id_file, Privacy::Secret)?);
        }
        if let Some(secret_id) = &self.unwrapped {
            return Ok(secret_id.clone());
        }
        let secret_id = self.unwrap(client).await?;
        self.unwrapped = Some(secret_id.clone());
        Ok(secret_id)
    }

    /// Looks at what the wrapping holds, and only then opens it. Neither is
    /// ever retried: a replay is a sign of theft.
    async fn unwrap(&self, client: &Client) -> Result<Secret, VaultError> {
        let file = &self.config.secret_id_file;
        let wrapping = read_file(file, Privacy::Secret)?;
        let used_up = || VaultError::WrappedUsedUp { file: file.clone() };
        let lookup = Call::endpoint(
            Operation::WrapLookup,
            &WrappingLookupRequest {
                token: text(&wrapping)?,
            },
        )?;
        let reply = client.send(&lookup, None).await?;
        if matches!(reply.status(), 400 | 403 | 404) {
            return Err(used_up());
        }
        let (wrapped, _) = reply.success()?.data::<Wrapping>()?;
        if !self.config.creation_path.matches(&wrapped.creation_path) {
            tracing::error!("the wrapped secret-id was made by an unexpected request");
            return Err(VaultError::WrappedWrongPath {
                file: file.clone(),
                expected: self.config.creation_path.to_string(),
            });
        }
        let unwrap = Call::endpoint(Operation::Unwrap, &UnwrapRequest { token: None })?;
        let reply = client.send(&unwrap, Some(&wrapping)).await?;
        if matches!(reply.status(), 400 | 403 | 404) {
            return Err(used_up());
        }
        let (answer, _) = reply.success()?.data::<SecretId>()?;
        if answer.secret_id.len() < MIN_SECRET_LEN {
            return Err(VaultError::Protocol {
                operation: Operation::Unwrap,
                fault: "the secret-id is too short to be kept out of output",
            });
        }
        Ok(answer.secret_id)
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
        client.send(&call, Some(token)).await?.success()
    };
    if let Err(error) = given_back.await {
        tracing::warn!(
            reason = error.reason(),
            "an unusable log-in could not be revoked; it ends after its `token_ttl`"
        );
    }
}

/// A credential as the text that a request takes.
fn text(secret: &Secret) -> Result<String, VaultError> {
    secret
        .expose_str()
        .map(str::to_owned)
        .ok_or(VaultError::Protocol {
            operation: Operation::LogIn,
            fault: "the credential is not text",
        })
}

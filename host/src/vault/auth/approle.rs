//! AppRole, with a plain or a response-wrapped secret-id.

use serde::Deserialize;
use vaultrs::api::auth::approle::requests::LoginWithApproleRequest;
use vaultrs::api::sys::requests::{UnwrapRequest, WrappingLookupRequest};

use super::Login;
use super::answer::{Asked, text};
use crate::secret::{MIN_SECRET_LEN, Privacy, Secret, read_file};
use crate::vault::VaultError;
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
                role_id: text(&role_id)?.to_owned(),
                secret_id: text(&secret_id)?.to_owned(),
            },
        )?;
        let asked = Asked {
            mount: &self.config.mount,
            cure: "the role-id or the secret-id is wrong, expired or bound to another address; issue a new secret-id",
            obtained_by: vec![secret_id],
        };
        asked.send(client, &call).await
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
        let wrapping = self.wrapping(client).await?;
        let unwrap = Call::endpoint(Operation::Unwrap, &UnwrapRequest { token: None })?;
        let reply = client.send(&unwrap, Some(&wrapping)).await?;
        if matches!(reply.status(), 400 | 403 | 404) {
            return Err(self.used_up());
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

    fn used_up(&self) -> VaultError {
        VaultError::WrappedUsedUp {
            file: self.config.secret_id_file.clone(),
        }
    }

    /// The wrapping token, once it is known that the expected request made it.
    /// Looking opens nothing.
    pub(super) async fn wrapping(&self, client: &Client) -> Result<Secret, VaultError> {
        let file = &self.config.secret_id_file;
        let wrapping = read_file(file, Privacy::Secret)?;
        let lookup = Call::endpoint(
            Operation::WrapLookup,
            &WrappingLookupRequest {
                token: text(&wrapping)?.to_owned(),
            },
        )?;
        let reply = client.send(&lookup, None).await?;
        if matches!(reply.status(), 400 | 403 | 404) {
            return Err(self.used_up());
        }
        let (wrapped, _) = reply.success()?.data::<Wrapping>()?;
        if !self.config.creation_path.matches(&wrapped.creation_path) {
            tracing::error!("the wrapped secret-id was made by an unexpected request");
            return Err(VaultError::WrappedWrongPath {
                file: file.clone(),
                expected: self.config.creation_path.to_string(),
            });
        }
        Ok(wrapping)
    }
}

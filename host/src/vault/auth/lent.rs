//! A token that somebody else made: an agent's sink, a person's log-in in the
//! browser, a developer's environment.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Deserialize;
use vaultrs::api::token::requests::LookupTokenSelfRequest;

use super::{Login, Owner};
use crate::secret::{Privacy, Secret, VariableName, read_file, read_variable};
use crate::vault::VaultError;
use crate::vault::client::{Call, Client};
use crate::vault::error::Operation;
use crate::vault::seconds;

/// Where the token is; it is read anew at each log-in.
pub(in crate::vault) enum Lent {
    /// `[vault.auth.token_file]`.
    File(PathBuf),
    /// `[vault.auth.oidc]`: the file that `cofferdam login` writes.
    LogIn(PathBuf),
    /// `[vault.auth.token]`.
    Variable(VariableName),
}

/// The part of lookup-self that matters.
#[derive(Deserialize)]
struct Looked {
    /// Seconds; 0 is for ever.
    #[serde(deserialize_with = "seconds::life")]
    ttl: u64,
    #[serde(rename = "type")]
    token_type: String,
}

impl Lent {
    pub(super) async fn log_in(&self, client: &Client) -> Result<Login, VaultError> {
        let token = self.read()?;
        let asked = Instant::now();
        let call = Call::endpoint(Operation::LogIn, &LookupTokenSelfRequest {})?;
        let reply = client.send(&call, Some(&token)).await?;
        if reply.status() == 403 {
            return Err(self.dead());
        }
        let (looked, _) = reply.success()?.data::<Looked>()?;
        if looked.token_type != "service" {
            return Err(VaultError::LoginUnusable {
                reason: match self {
                    Self::File(_) | Self::LogIn(_) => {
                        "the token in the token file is not a service token"
                    }
                    Self::Variable(_) => "the token in the environment is not a service token",
                },
                cure: "only a service token can have children: make it with `type=service`",
            });
        }
        Ok(Login {
            token,
            owner: Owner::Lender,
            ends: (looked.ttl > 0).then(|| asked + Duration::from_secs(looked.ttl)),
            // Whoever lent it keeps it alive.
            renewable: false,
            obtained_by: Vec::new(),
        })
    }

    fn read(&self) -> Result<Secret, VaultError> {
        Ok(match self {
            Self::File(path) | Self::LogIn(path) => read_file(path, Privacy::Secret)?,
            Self::Variable(name) => read_variable(name)?,
        })
    }

    fn dead(&self) -> VaultError {
        let (reason, cure) = match self {
            Self::File(_) => (
                "the token in the token file is dead, or may not look itself up",
                "write a living token into the file, with `read` on `auth/token/lookup-self`",
            ),
            Self::LogIn(_) => (
                "the token of the last `cofferdam login` is dead, or may not look itself up",
                "log in again: `cofferdam login`",
            ),
            Self::Variable(_) => (
                "the token in the environment is dead, or may not look itself up",
                "set the variable to a living token, with `read` on `auth/token/lookup-self`",
            ),
        };
        VaultError::LoginUnusable { reason, cure }
    }
}

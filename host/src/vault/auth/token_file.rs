//! A token that somebody else put into a file.

use std::time::{Duration, Instant};

use serde::Deserialize;
use vaultrs::api::token::requests::LookupTokenSelfRequest;

use super::{Login, Owner};
use crate::secret::{Privacy, read_file};
use crate::vault::VaultError;
use crate::vault::client::{Call, Client};
use crate::vault::config::TokenFileConfig;
use crate::vault::error::Operation;

/// `[vault.auth.token_file]`: the file is read anew at each log-in.
pub(in crate::vault) struct TokenFile {
    config: TokenFileConfig,
}

/// The part of lookup-self that matters.
#[derive(Deserialize)]
struct Looked {
    /// Seconds; 0 is for ever.
    ttl: u64,
    #[serde(rename = "type")]
    token_type: String,
}

impl TokenFile {
    pub(super) fn new(config: TokenFileConfig) -> Self {
        Self { config }
    }

    pub(super) async fn log_in(&mut self, client: &Client) -> Result<Login, VaultError> {
        let token = read_file(&self.config.path, Privacy::Secret)?;
        let asked = Instant::now();
        let call = Call::endpoint(Operation::LogIn, &LookupTokenSelfRequest {})?;
        let reply = client.send(&call, Some(&token)).await?;
        if reply.status() == 403 {
            return Err(VaultError::LoginUnusable {
                reason: "the token in the token file is dead, or may not look itself up",
                cure: "write a living token into the file, with `read` on `auth/token/lookup-self`",
            });
        }
        let (looked, _) = reply.success()?.data::<Looked>()?;
        if looked.token_type != "service" {
            return Err(VaultError::LoginUnusable {
                reason: "the token in the token file is not a service token",
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
}

//! The end of a person's log-in.

use std::path::Path;

use http::Method;
use vaultrs::api::token::requests::LookupTokenSelfRequest;

use super::TokenSlotError;
use crate::secret::{Privacy, Secret, read_file};
use crate::vault::client::{Call, Client};
use crate::vault::error::Operation;
use crate::vault::{VaultConfig, VaultError};

/// What became of a token that was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedOut {
    /// Vault ended it, and with it all that it had made.
    Revoked,
    /// It was dead before.
    WasDead,
}

/// Ends the token in the file, then removes the file. It stays when Vault did
/// not confirm the end.
///
/// # Errors
/// No such file, Vault not available, or a refusal.
pub async fn log_out(config: &VaultConfig, file: &Path) -> Result<LoggedOut, VaultError> {
    let token = read_file(file, Privacy::Secret)?;
    let client = Client::new(config)?;
    let limit = client.timeout();
    let reply = client.send_within(&revocation()?, &token, limit).await?;
    let outcome = if reply.status() == 403 {
        let lookup = Call::endpoint(Operation::Lookup, &LookupTokenSelfRequest {})?;
        let looked = client.send_within(&lookup, &token, limit).await?;
        match looked.status() {
            // The fixed text of both servers: a 403 alone may come from
            // anything that stands before them.
            403 if looked.says("permission denied") => LoggedOut::WasDead,
            // It lives, and may not end itself.
            200 => return Err(reply.success().err().unwrap_or(VaultError::Closed)),
            _ => return Err(looked.success().err().unwrap_or(VaultError::Closed)),
        }
    } else {
        reply.confirmed()?;
        LoggedOut::Revoked
    };
    std::fs::remove_file(file).map_err(|error| TokenSlotError::new(file, error))?;
    Ok(outcome)
}

/// Ends a token that cannot be handed over, as well as it goes.
pub(super) async fn give_back(client: &Client, token: &Secret) {
    let given_back = async {
        let limit = client.timeout();
        client
            .send_within(&revocation()?, token, limit)
            .await?
            .confirmed()
    };
    if let Err(error) = given_back.await {
        tracing::warn!(
            reason = error.reason(),
            "the token could not be revoked; it ends after its `token_ttl`"
        );
    }
}

fn revocation() -> Result<Call, VaultError> {
    Call::with_body(
        Operation::Revoke,
        Method::POST,
        "auth/token/revoke-self",
        &serde_json::Map::new(),
    )
}

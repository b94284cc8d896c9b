//! Vault as the host's own log-in sees it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;
use uuid::Uuid;
use vaultrs::api::token::requests::LookupTokenSelfRequest;

use super::{Reviewer, Right};
use crate::name::TaskName;
use crate::scrub::SecretSet;
use crate::secret::Secret;
use crate::vault::auth::Method;
use crate::vault::client::{Call, NodeHealth, ServerCertificate, look_at};
use crate::vault::error::Operation;
use crate::vault::{AttemptAuthority, Circle, Revocation, Vault, VaultConfig, VaultError, seconds};

/// Vault through the host's log-in. [`Inspection::close`] is the only way out
/// that ends what was made; a kill leaves it to the sweep, as everywhere.
pub struct Inspection {
    vault: Vault,
}

/// One node.
#[derive(Debug)]
pub struct NodeFacts {
    /// How it does.
    pub health: NodeHealth,
    /// Its certificate, or why the settings allow no look at it.
    pub certificate: Result<ServerCertificate, VaultError>,
}

/// The host's own token, as Vault describes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct LoginFacts {
    /// Its own policies.
    pub policies: Vec<String>,
    /// Those of its identity and of that one's groups.
    pub identity_policies: Vec<String>,
    /// The life that it was made with, in seconds; 0 is for ever.
    #[serde(deserialize_with = "seconds::life")]
    pub creation_ttl: u64,
    /// Its identity; empty when it has none.
    pub entity_id: String,
    /// What the method says of it, such as the role's name.
    #[serde(deserialize_with = "null_is_empty")]
    pub meta: BTreeMap<String, String>,
}

/// What became of a token that was minted for one task and ended at once.
#[derive(Debug)]
pub struct Probe {
    /// The life that Vault confirmed.
    pub life: Duration,
    /// False when Vault knows no such policy.
    pub policy_exists: bool,
    /// Its end.
    pub revocation: Revocation,
}

fn null_is_empty<'de, D>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Inspection {
    /// Prepares without contacting Vault.
    ///
    /// # Errors
    /// Settings that cannot work, such as a `ca_file` without certificates.
    pub fn new(config: VaultConfig, state: &Path) -> Result<Self, VaultError> {
        let vault = Vault::new(config, state)?;
        // A sweep would clear away what is to be reported.
        vault.0.swept.store(true, Ordering::Release);
        Ok(Self { vault })
    }

    /// Asks every node, all at once, each within this time.
    pub async fn nodes(&self, limit: Duration) -> Vec<NodeFacts> {
        let shared = &self.vault.0;
        let addresses = shared.config.addresses.iter();
        let certificates = addresses.map(|address| look_at(&shared.config, address, limit));
        let (health, certificates) =
            tokio::join!(shared.client.health_of_all(limit), join_all(certificates));
        health
            .into_iter()
            .zip(certificates)
            .map(|(health, certificate)| NodeFacts {
                health,
                certificate,
            })
            .collect()
    }

    /// Looks at a wrapped credential without using it up.
    ///
    /// # Errors
    /// It is used up, or was made by another request than expected.
    pub async fn look_at_wrapping(&self) -> Result<(), VaultError> {
        let shared = &self.vault.0;
        let method = Method::new(&shared.config);
        method.look_at_wrapping(&shared.client).await
    }

    /// Logs in, once, and asks Vault what the token is.
    ///
    /// # Errors
    /// Why there is no log-in.
    pub async fn login(&self) -> Result<LoginFacts, VaultError> {
        let shared = &self.vault.0;
        let login = shared.login(Duration::ZERO).await?;
        let call = Call::endpoint(Operation::Lookup, &LookupTokenSelfRequest {})?;
        let limit = shared.config.timeout;
        let reply = shared
            .client
            .send_within(&call, login.token(), limit)
            .await?;
        Ok(reply.success()?.data()?.0)
    }

    /// Asks for each right that the host needs, by using it on nothing.
    ///
    /// # Errors
    /// Why there is no log-in.
    pub async fn rights(&self) -> Result<Vec<Right>, VaultError> {
        let login = self.vault.0.login(Duration::ZERO).await?;
        Ok(self.vault.0.rights(&login).await)
    }

    /// Mints the token of an attempt and ends it, without using it.
    ///
    /// # Errors
    /// Why there is no such token; what was made is revoked then too.
    pub async fn probe(&self, task: &TaskName, deadline: Duration) -> Result<Probe, VaultError> {
        let attempt = AttemptAuthority {
            run: Uuid::now_v7().to_string(),
            task: task.clone(),
            circle: Circle::of_nobody(task),
            deadline,
            // For whoever reads Vault's audit.
            meta: BTreeMap::from([("cofferdam".to_owned(), "doctor".to_owned())]),
            jwt: None,
        };
        let session = self.vault.open(attempt, &SecretSet::default()).await?;
        let (life, policy_exists) = (session.explicit_max_ttl(), session.policy_exists());
        Ok(Probe {
            life,
            policy_exists,
            revocation: session.close().await,
        })
    }

    /// Vault through this token, over the same connections.
    pub fn reviewer(&self, token: Secret) -> Reviewer<'_> {
        Reviewer {
            shared: &self.vault.0,
            token,
        }
    }

    /// Ends the log-in; `None` when there was none of its own to end.
    pub async fn close(self) -> Option<Revocation> {
        self.vault.close().await
    }
}

//! Whether the log-in may do what the host has to do, by doing it to nothing.

use http::Method;
use serde_json::{Value, json};

use crate::vault::VaultError;
use crate::vault::client::{Call, Reply};
use crate::vault::error::Operation;
use crate::vault::logins::HostLogin;
use crate::vault::revoke::unknown;
use crate::vault::shared::Shared;

/// Something that exists in no Vault.
const NOTHING: &str = "cofferdam-doctor-none";

/// A path that the host has to call, and whether it may.
#[derive(Debug)]
pub struct Right {
    /// The API path.
    pub path: &'static str,
    /// Whether Vault let it through.
    pub allowed: Result<bool, VaultError>,
}

/// What is asked. The rest of the host's policy is proven on the way: looking
/// itself up, minting a probe, and revoking itself at the end.
fn harmless() -> [(&'static str, Value); 5] {
    [
        ("auth/token/lookup-accessor", json!({ "accessor": NOTHING })),
        ("auth/token/renew-self", json!({})),
        ("auth/token/revoke-accessor", json!({ "accessor": NOTHING })),
        ("sys/leases/renew", json!({ "lease_id": NOTHING })),
        ("sys/leases/revoke", json!({ "lease_id": NOTHING })),
    ]
}

impl Shared {
    /// Asks for each right of the host's policy that a probe does not need.
    pub(super) async fn rights(&self, login: &HostLogin) -> Vec<Right> {
        let mut rights = Vec::new();
        for (path, body) in harmless() {
            // Somebody else's token is not ours to renew.
            if path == "auth/token/renew-self" && !login.is_ours() {
                continue;
            }
            let allowed = async {
                let call = Call::with_body(Operation::Lookup, Method::POST, path, &body)?;
                let limit = self.config.timeout;
                let reply = self.client.send_within(&call, login.token(), limit).await?;
                judge(reply)
            };
            rights.push(Right {
                path,
                allowed: allowed.await,
            });
        }
        rights
    }
}

/// A refusal is the only 403; that there is no such token or lease is the
/// answer that was expected, whatever its status.
fn judge(reply: Reply) -> Result<bool, VaultError> {
    match reply.status() {
        403 => Ok(unknown(&reply)),
        400 | 404 if reply.is_vaults_refusal() => Ok(true),
        400 | 404 => Err(reply.not_vaults()),
        _ => reply.success().map(|_| true),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::vault::policy::host_policy;

    #[test]
    fn every_right_of_the_hosts_policy_is_proven() {
        let policy = host_policy(&"cofferdam".parse().expect("name"));
        let mut proven: BTreeSet<&str> = harmless().iter().map(|(path, _)| *path).collect();
        proven.extend([
            "auth/token/create/cofferdam",
            "auth/token/lookup-self",
            "auth/token/revoke-self",
        ]);
        let needed: BTreeSet<&str> = policy.0.keys().map(String::as_str).collect();
        assert_eq!(proven, needed);
    }
}

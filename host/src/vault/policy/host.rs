//! The host's own rights: its policy and the token role.

use serde::Serialize;

use super::{PolicyCapability, PolicyRules};
use crate::vault::path::VaultName;

/// The name of the host's own policy. It lies outside the token role's glob,
/// so that no attempt can be minted with it.
pub const HOST_POLICY: &str = "cofferdam-host";

/// The longest life of an attempt's token in seconds: the longest `timeout` of
/// a grants file (24 h) and an hour for closing.
const MAX_TTL: u64 = 25 * 60 * 60;

/// Everything that the host's log-in needs: mint through the role, look up and
/// revoke by accessor, keep leases, and look after itself. None of it needs sudo.
pub fn host_policy(token_role: &VaultName) -> PolicyRules {
    let mut rules = PolicyRules::default();
    rules.allow(
        format!("auth/token/create/{token_role}"),
        PolicyCapability::Update,
    );
    for path in [
        "auth/token/lookup-accessor",
        "auth/token/renew-self",
        "auth/token/revoke-accessor",
        "auth/token/revoke-self",
        "sys/leases/renew",
        "sys/leases/revoke",
    ] {
        rules.allow(path, PolicyCapability::Update);
    }
    rules.allow("auth/token/lookup-self", PolicyCapability::Read);
    rules
}

/// The settings of the token role that attempts are minted through, as
/// `auth/token/roles/NAME` takes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenRole {
    /// Which policies an attempt may carry.
    pub allowed_policies_glob: Vec<String>,
    /// False: an attempt's token dies with the host's log-in.
    pub orphan: bool,
    /// False: the life that is confirmed at the mint is all there is.
    pub renewable: bool,
    /// `service`: a batch token has no accessor and cannot be revoked.
    pub token_type: String,
    /// True: `default` would let the token look after itself.
    pub token_no_default_policy: bool,
    /// Seconds after which Vault ends any attempt's token.
    pub token_explicit_max_ttl: u64,
}

impl TokenRole {
    /// The role as this host needs it.
    pub fn standard() -> Self {
        Self {
            allowed_policies_glob: vec!["cofferdam-task-*".to_owned()],
            orphan: false,
            renewable: false,
            token_type: "service".to_owned(),
            token_no_default_policy: true,
            token_explicit_max_ttl: MAX_TTL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_policy_is_what_the_host_calls_and_no_more() {
        let role = "cofferdam".parse().expect("name");
        insta::assert_snapshot!(host_policy(&role).to_hcl().expect("fine"), @r#"
        path "auth/token/create/cofferdam" {
          capabilities = ["update"]
        }

        path "auth/token/lookup-accessor" {
          capabilities = ["update"]
        }

        path "auth/token/lookup-self" {
          capabilities = ["read"]
        }

        path "auth/token/renew-self" {
          capabilities = ["update"]
        }

        path "auth/token/revoke-accessor" {
          capabilities = ["update"]
        }

        path "auth/token/revoke-self" {
          capabilities = ["update"]
        }

        path "sys/leases/renew" {
          capabilities = ["update"]
        }

        path "sys/leases/revoke" {
          capabilities = ["update"]
        }
        "#);
    }

    #[test]
    fn the_host_policy_lies_outside_the_glob() {
        for glob in TokenRole::standard().allowed_policies_glob {
            assert!(!HOST_POLICY.starts_with(glob.trim_end_matches('*')));
        }
    }
}

//! The role that a task's attempts log in to as themselves.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::PolicyName;

/// What a role takes over into the metadata of an alias, each under its own
/// name. All but the last are part of the subject, so that no log-in changes
/// them for another; `cofferdam_run` is there for Vault's audit alone, and no
/// policy may use it.
const MAPPED: [&str; 6] = [
    "assurance",
    "bundle",
    "dag_id",
    "task_id",
    "task",
    "cofferdam_run",
];

/// The settings of a role as `auth/MOUNT/role/NAME` takes them. All that a
/// token gets is written out, for what is left out keeps its old value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JwtRole {
    /// `jwt`: no browser is involved.
    pub role_type: String,
    /// `sub`: it names the alias.
    pub user_claim: String,
    /// The host's `audience`.
    pub bound_audiences: Vec<String>,
    /// What a JWT must say, by claim.
    pub bound_claims: BTreeMap<String, Vec<String>>,
    /// What becomes metadata of the alias.
    pub claim_mappings: BTreeMap<String, String>,
    /// All policies that the token carries.
    pub token_policies: Vec<String>,
    /// True: `default` gives rights that nobody reviewed.
    pub token_no_default_policy: bool,
    /// `service`: a batch token has no accessor and cannot be revoked.
    pub token_type: String,
    /// Seconds: the attempt's time and a margin.
    pub token_ttl: u64,
    /// The same: nobody can renew it beyond.
    pub token_max_ttl: u64,
    /// The same, whatever the mount allows.
    pub token_explicit_max_ttl: u64,
    /// 0: a periodic token has no end.
    pub token_period: u64,
    /// 0: not limited.
    pub token_num_uses: u64,
}

impl JwtRole {
    /// The role of attempts that carry these policies and live so many seconds.
    pub fn new(
        audience: &str,
        bound_claims: BTreeMap<String, Vec<String>>,
        policies: &BTreeSet<PolicyName>,
        life: u64,
    ) -> Self {
        Self {
            role_type: "jwt".to_owned(),
            user_claim: "sub".to_owned(),
            bound_audiences: vec![audience.to_owned()],
            bound_claims,
            claim_mappings: MAPPED
                .iter()
                .map(|name| ((*name).to_owned(), (*name).to_owned()))
                .collect(),
            token_policies: policies.iter().map(ToString::to_string).collect(),
            token_no_default_policy: true,
            token_type: "service".to_owned(),
            token_ttl: life,
            token_max_ttl: life,
            token_explicit_max_ttl: life,
            token_period: 0,
            token_num_uses: 0,
        }
    }
}

//! One look at one thing.

use serde::{Serialize, Serializer};

use crate::scrub::escape_control;

/// What was looked at. The words are for machines and never change; docs/DOCTOR.md
/// has a line for each.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::EnumIter,
)]
pub enum CheckId {
    /// `cofferdam.toml`.
    #[strum(serialize = "config.file")]
    ConfigFile,
    /// The `[vault]` table.
    #[strum(serialize = "config.vault")]
    ConfigVault,
    /// The grants files.
    #[strum(serialize = "grants.file")]
    GrantsFile,
    /// The state folder.
    #[strum(serialize = "folder.state")]
    FolderState,
    /// The audit folder.
    #[strum(serialize = "folder.audit")]
    FolderAudit,
    /// The cache folder.
    #[strum(serialize = "folder.cache")]
    FolderCache,
    /// Room on the file systems of these folders.
    #[strum(serialize = "disk.space")]
    DiskSpace,
    /// What killed processes left behind.
    #[strum(serialize = "journal.left")]
    JournalLeft,
    /// Who can read or replace the credential of the log-in.
    #[strum(serialize = "credential.file")]
    CredentialFile,
    /// Who else runs under the host's user.
    #[strum(serialize = "host.user")]
    HostUser,
    /// Who may call the service.
    #[strum(serialize = "server.callers")]
    ServerCallers,
    /// Where it listens beside its socket, and for whom.
    #[strum(serialize = "server.tcp")]
    ServerTcp,
    /// Its certificate, and whose certificates it takes.
    #[strum(serialize = "server.certificate")]
    ServerCertificate,
    /// The keys of the tokens that it takes.
    #[strum(serialize = "server.tokens")]
    ServerTokens,
    /// How a node does.
    #[strum(serialize = "node.health")]
    NodeHealth,
    /// A node's version.
    #[strum(serialize = "node.version")]
    NodeVersion,
    /// A node's clock against ours.
    #[strum(serialize = "node.clock")]
    NodeClock,
    /// A node's certificate.
    #[strum(serialize = "node.tls")]
    NodeTls,
    /// The log-in.
    #[strum(serialize = "login.works")]
    LoginWorks,
    /// The life of the log-in.
    #[strum(serialize = "login.life")]
    LoginLife,
    /// The names of the policies that the log-in carries.
    #[strum(serialize = "login.policies")]
    LoginPolicies,
    /// The settings of the log-in in Vault.
    #[strum(serialize = "login.role")]
    LoginRole,
    /// The end of the log-in.
    #[strum(serialize = "login.revoked")]
    LoginRevoked,
    /// What the host must be able to call.
    #[strum(serialize = "host.rights")]
    HostRights,
    /// A token for each task.
    #[strum(serialize = "mint.task")]
    MintTask,
    /// Which policies the token role lets an attempt carry.
    #[strum(serialize = "role.policies")]
    RolePolicies,
    /// Whether its tokens outlive the host's log-in.
    #[strum(serialize = "role.orphan")]
    RoleOrphan,
    /// Whether its tokens can be renewed.
    #[strum(serialize = "role.renewable")]
    RoleRenewable,
    /// The type of its tokens.
    #[strum(serialize = "role.token_type")]
    RoleTokenType,
    /// Whether its tokens carry `default`.
    #[strum(serialize = "role.no_default_policy")]
    RoleNoDefaultPolicy,
    /// The longest life of its tokens.
    #[strum(serialize = "role.explicit_max_ttl")]
    RoleExplicitMaxTtl,
    /// Whether its tokens are periodic.
    #[strum(serialize = "role.period")]
    RolePeriod,
    /// Whether its tokens can take another identity.
    #[strum(serialize = "role.entity_aliases")]
    RoleEntityAliases,
    /// How often its tokens can be used.
    #[strum(serialize = "role.num_uses")]
    RoleNumUses,
    /// The role that a task's attempts log in to as themselves.
    #[strum(serialize = "role.task")]
    TaskRole,
    /// What the log-in's policies allow.
    #[strum(serialize = "policy.host")]
    PolicyHost,
    /// What a task's policy allows.
    #[strum(serialize = "policy.task")]
    PolicyTask,
    /// Task policies without a grants file.
    #[strum(serialize = "policy.orphans")]
    PolicyOrphans,
    /// Policies of the log-in's identity.
    #[strum(serialize = "identity.entity")]
    IdentityEntity,
    /// Policies of its groups.
    #[strum(serialize = "identity.groups")]
    IdentityGroups,
}

impl Serialize for CheckId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a look showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    #[strum(serialize = "ok")]
    Ok,
    /// It works, but somebody should know.
    #[strum(serialize = "warning")]
    Warning,
    /// Wrong.
    #[strum(serialize = "fault")]
    Fault,
    /// Nobody could say.
    #[strum(serialize = "not proven")]
    NotProven,
}

/// One look at one thing: what, where, and the cure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub id: CheckId,
    /// What it showed.
    pub state: State,
    /// A file, an address, a task, a policy.
    #[serde(rename = "where")]
    pub place: String,
    /// What was found, in words.
    pub what: String,
    /// The cure; every check that is not ok has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
    /// True when it was to be expected that nobody could say: a reviewer's
    /// token was not given, or a credential is not to be used up.
    #[serde(skip)]
    pub(super) unasked: bool,
}

impl Check {
    /// As it should be.
    pub(super) fn ok(id: CheckId, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            id,
            state: State::Ok,
            // Names of files may hold anything.
            place: escape_control(&place.into()),
            what: escape_control(&what.into()),
            cure: None,
            unasked: false,
        }
    }

    /// It works, but somebody should know.
    pub(super) fn warning(
        id: CheckId,
        place: impl Into<String>,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self::ok(id, place, what).but(State::Warning, cure)
    }

    /// Wrong.
    pub(super) fn fault(
        id: CheckId,
        place: impl Into<String>,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self::ok(id, place, what).but(State::Fault, cure)
    }

    /// It was asked, and nobody could say.
    pub(super) fn unproven(
        id: CheckId,
        place: impl Into<String>,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self::ok(id, place, what).but(State::NotProven, cure)
    }

    /// It was not asked, for a reason that the operator gave.
    pub(super) fn unasked(
        id: CheckId,
        place: impl Into<String>,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self {
            unasked: true,
            ..Self::unproven(id, place, what, cure)
        }
    }

    fn but(self, state: State, cure: impl Into<String>) -> Self {
        Self {
            state,
            cure: Some(cure.into()),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn no_name_of_a_file_moves_the_cursor() {
        let check = Check::fault(CheckId::JournalLeft, "a\u{1b}[2Jb", "c\nok", "d");
        let text = format!("{}{}", check.place, check.what);
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }

    #[test]
    fn the_page_has_a_line_for_each_check_and_for_no_other() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/DOCTOR.md");
        let text = std::fs::read_to_string(page).unwrap();
        let told: BTreeSet<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .map(|(id, _)| id.to_owned())
            .collect();
        let known: BTreeSet<String> = CheckId::iter().map(|id| id.to_string()).collect();
        assert_eq!(told, known);
    }
}

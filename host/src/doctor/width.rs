//! How wide the rights are: what only a reviewer's token can show.
//!
//! A host cannot prove by itself that it may do no more than it should: it
//! would have to try everything. Without a reviewer's token each of these
//! checks reads "not proven".

use std::collections::BTreeSet;
use std::time::Duration;

use super::budget::Budget;
use super::policies::failed;
use super::texts::{ASK_A_REVIEWER, RUN_AGAIN, WRITE_HOST};
use super::{Check, CheckId, Report, identity, login, login_role, policies, role, task_role};
use crate::grants::Grants;
use crate::name::TaskName;
use crate::vault::VaultConfig;
use crate::vault::inspect::{LoginFacts, Reviewer};
use crate::vault::policy::{HOST_POLICY, task_policy_name};

/// What the width is judged by.
pub(super) struct Width<'a> {
    pub(super) vault: &'a VaultConfig,
    /// The grants that can be read.
    pub(super) granted: &'a [Grants],
    /// The tasks whose grants file is there, and cannot be read.
    pub(super) unread: &'a [String],
    /// The log-in, when there is one.
    pub(super) login: Option<&'a LoginFacts>,
    /// Whether there is none because its credential is not to be used up.
    pub(super) spared: bool,
    /// Where the log-in is made.
    pub(super) mount: &'a str,
    pub(super) budget: &'a Budget,
}

impl Width<'_> {
    /// Every check of the width reads "not proven", for this reason.
    pub(super) fn unproven(&self, make: &dyn Fn(CheckId, &str) -> Check, report: &mut Report) {
        self.login_policies(false, make, report);
        report.push(make(CheckId::LoginRole, self.mount));
        let role = self.role_place();
        report.extend(role::IDS.map(|id| make(id, &role)));
        report.push(make(CheckId::PolicyHost, HOST_POLICY));
        for grants in self.granted {
            if let Some(jwt) = &grants.authority {
                report.push(make(CheckId::TaskRole, &task_role::place(jwt)));
            }
            let policy = task_policy_name(&grants.task);
            report.push(make(CheckId::PolicyTask, &policy));
        }
        self.unread_tasks(report);
        for (id, place) in [
            (CheckId::PolicyOrphans, "sys/policies/acl"),
            (CheckId::IdentityEntity, "the log-in"),
            (CheckId::IdentityGroups, "the log-in"),
        ] {
            report.push(make(id, place));
        }
    }

    /// The reason of an examination without a reviewer's token.
    pub(super) fn nobody_reviewed(id: CheckId, place: &str) -> Check {
        let what = "only a reviewer's token can show how wide this is";
        Check::unasked(id, place, what, ASK_A_REVIEWER)
    }

    /// Reads and judges all of it.
    pub(super) async fn check(&self, reviewer: &Reviewer<'_>, report: &mut Report) {
        self.login_policies(true, &|id, place| self.without_login(id, place), report);
        match self.login {
            Some(login) => {
                login_role::check(reviewer, &self.vault.auth, login, report).await;
            }
            None => report.push(self.without_login(CheckId::LoginRole, self.mount)),
        }
        self.role(reviewer, report).await;
        let carried = self.carried();
        policies::host(reviewer, &carried, &self.vault.token_role, report).await;
        let identity = self.vault.identity.as_ref();
        policies::tasks(reviewer, self.granted, identity, self.budget, report).await;
        self.unread_tasks(report);
        policies::orphans(reviewer, &self.known(), report).await;
        match self.login {
            Some(login) => identity::check(reviewer, login, report).await,
            None => report.extend(
                [CheckId::IdentityEntity, CheckId::IdentityGroups]
                    .map(|id| self.without_login(id, self.mount)),
            ),
        }
    }

    /// Extra policies are seen by the log-in itself. That there are none is
    /// good news only when somebody also reads what the others allow.
    fn login_policies(
        &self,
        reviewed: bool,
        make: &dyn Fn(CheckId, &str) -> Check,
        report: &mut Report,
    ) {
        let id = CheckId::LoginPolicies;
        match self.login.map(|facts| login::policies(facts, self.mount)) {
            Some(Err(faults)) => report.extend(faults),
            Some(Ok(())) if reviewed => {
                let what = format!("the log-in carries `{HOST_POLICY}` and nothing else");
                report.push(Check::ok(id, self.mount, what));
            }
            Some(Ok(())) | None => report.push(make(id, self.mount)),
        }
    }

    pub(super) fn without_login(&self, id: CheckId, place: &str) -> Check {
        let what = "there is no log-in to look at";
        if self.spared {
            Check::unasked(id, place, what, super::texts::USE_WRAPPED)
        } else {
            Check::unproven(id, place, what, RUN_AGAIN)
        }
    }

    async fn role(&self, reviewer: &Reviewer<'_>, report: &mut Report) {
        let place = self.role_place();
        match reviewer.token_role(&self.vault.token_role).await {
            Ok(Some(facts)) => report.extend(role::check(&facts, &place, &self.tasks())),
            Ok(None) => {
                let what = "vault knows no such token role";
                report.push(Check::fault(CheckId::RolePolicies, place, what, WRITE_HOST));
            }
            // One line says it for all of its settings.
            Err(error) => failed(report, CheckId::RolePolicies, &place, &error),
        }
    }

    fn role_place(&self) -> String {
        format!("auth/token/roles/{}", self.vault.token_role)
    }

    /// The tasks that are minted for.
    fn tasks(&self) -> Vec<(&TaskName, Duration)> {
        let minted = self.granted.iter().filter(|grants| grants.needs_vault());
        minted
            .map(|grants| (&grants.task, grants.limits.timeout))
            .collect()
    }

    /// Everything that the log-in carries, by whatever way; the host's own
    /// policy when nobody knows.
    fn carried(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::from([HOST_POLICY.to_owned()]);
        if let Some(login) = self.login {
            names.extend(login.policies.iter().cloned());
            names.extend(login.identity_policies.iter().cloned());
        }
        names
    }

    /// The policies that have a grants file.
    fn known(&self) -> BTreeSet<String> {
        let granted = self
            .granted
            .iter()
            .map(|grants| task_policy_name(&grants.task));
        let unread = self
            .unread
            .iter()
            .map(|task| format!("cofferdam-task-{task}"));
        granted.chain(unread).collect()
    }

    fn unread_tasks(&self, report: &mut Report) {
        for task in self.unread {
            let place = format!("cofferdam-task-{}", crate::config::value::bounded(task));
            let what = "its grants file cannot be used, so nobody knows what it may allow";
            let cure = "mend the grants file, see `grants.file`";
            report.push(Check::unproven(CheckId::PolicyTask, place, what, cure));
        }
    }
}

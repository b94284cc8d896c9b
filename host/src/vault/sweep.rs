//! Revoking what a kill left behind.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::client::RunTag;
use super::journal::{AuthorityKind, Entry, Found, Intent, Place, Seen};
use super::lease::LeaseCount;
use super::logins::HostLogin;
use super::revoke::Target;
use super::shared::Shared;
use super::{VaultError, VaultErrorKind};

/// What a sweep found and did.
#[derive(Debug, Default, Serialize)]
pub struct SweepReport {
    /// Every record of the journal that belongs to no living process.
    pub found: Vec<Swept>,
    /// Records of processes that live, and of other sweeps: not touched.
    pub live: usize,
    /// Why Vault could not be asked, when it could not.
    #[serde(skip)]
    pub failure: Option<VaultError>,
}

/// One record that was left behind. Its accessor is not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Log-in or attempt; none for a record that cannot be read.
    pub kind: Option<AuthorityKind>,
    /// The run's id, the log-in's, or where a record is that cannot be read.
    pub id: String,
    /// The task of an attempt.
    pub task: Option<String>,
    /// When the token was asked for.
    pub created: Option<Timestamp>,
    /// When Vault ends an attempt's token in any case.
    pub expires: Option<Timestamp>,
    /// What became of it.
    pub outcome: SweepOutcome,
    /// A fixed word for why something is left.
    pub reason: Option<&'static str>,
    /// The leases of an attempt that had some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leases: Option<LeaseCount>,
}

/// What became of what was left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SweepOutcome {
    /// Vault confirmed that it and its leases are dead; the record is gone.
    Revoked,
    /// Its process died while it was being made: it was never used, cannot be
    /// named, and is dead at `expires` at the latest. The record stays until then.
    InFlight,
    /// The same, and that time has passed by Vault's clock; the record is gone.
    Expired,
    /// It belongs to another server, cluster or namespace than the configured one.
    OtherServer,
    /// The record is damaged or not ours.
    Unreadable,
    /// Vault could not be asked, or refused: it, or one of its leases, may live.
    Left,
}

impl SweepOutcome {
    /// True when nothing is left to do.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Revoked | Self::Expired)
    }
}

impl SweepReport {
    /// True when nothing is left behind.
    pub fn is_clean(&self) -> bool {
        self.found.iter().all(|swept| swept.outcome.is_settled())
    }
}

impl Shared {
    /// Looks at every record of the journal, children before their parents.
    ///
    /// The small file work is done inline; every entry that needs Vault waits
    /// for the network, so other tasks are not held up.
    pub(super) async fn sweep(self: &Arc<Self>) -> Result<SweepReport, VaultError> {
        self.swept.store(true, Ordering::Release);
        let mut report = SweepReport::default();
        let mut login = None;
        let mut seen = Seen::default();
        for path in self.journal.names()? {
            let found = self.journal.take(&path).unwrap_or_else(|error| {
                tracing::warn!(%error, "a journal file cannot be swept");
                let place = Place { path, block: None };
                report.found.push(unreadable(&place, SweepOutcome::Left));
                Vec::new()
            });
            for found in found {
                match found {
                    Found::Live(records) => report.live += records,
                    Found::Left(entry) => {
                        // What holds for the one holds for the other.
                        if let Some(number) = seen.earlier(&entry) {
                            let earlier = report.found.get(number);
                            if earlier.is_some_and(|swept| swept.outcome.is_settled()) {
                                entry.done();
                            }
                            continue;
                        }
                        seen.note(&entry, report.found.len());
                        let swept = self
                            .sweep_entry(*entry, &mut login, &mut report.failure)
                            .await;
                        report.found.push(swept);
                    }
                    Found::Unreadable(place) => {
                        report
                            .found
                            .push(unreadable(&place, SweepOutcome::Unreadable));
                    }
                }
            }
        }
        Ok(report)
    }

    async fn sweep_entry(
        self: &Arc<Self>,
        entry: Entry,
        login: &mut Option<Arc<HostLogin>>,
        failure: &mut Option<VaultError>,
    ) -> Swept {
        let intent = entry.intent();
        let mut swept = Swept {
            kind: Some(intent.kind),
            id: intent.id.clone(),
            task: intent.task.clone(),
            created: Some(intent.created),
            // A log-in's end is known to Vault only.
            expires: (intent.kind == AuthorityKind::Attempt || entry.accessor().is_none())
                .then_some(intent.expires),
            outcome: SweepOutcome::Left,
            reason: None,
            leases: None,
        };
        swept.outcome = if !self.is_ours(intent)
            // Once Vault is away nothing is ended, and nobody has to be asked.
            || failure.is_none() && self.is_of_another_cluster(intent).await
        {
            SweepOutcome::OtherServer
        } else if entry.accessor().is_some() || !entry.leases().is_empty() {
            // Once Vault is away, asking again for each record would only take time.
            if let Some(error) = failure {
                swept.reason = Some(error.reason());
                return swept;
            }
            let login = match login {
                Some(login) => login,
                None => match self.login(Duration::ZERO).await {
                    Ok(fresh) => login.insert(fresh),
                    Err(error) => {
                        swept.reason = Some(error.reason());
                        *failure = Some(error);
                        return swept;
                    }
                },
            };
            // It is done for the run that left it, whoever does it.
            let run = match intent.kind {
                AuthorityKind::Attempt => RunTag::new(&intent.id),
                AuthorityKind::Login => None,
            };
            // Leases first: with the token they would end in Vault's own time.
            let leases = entry.leases().iter().cloned();
            let ends = self
                .revoke_leases(login, (1..).zip(leases).collect(), run.as_ref())
                .await;
            let left = ends.iter().find_map(|end| end.left);
            if !ends.is_empty() {
                let left = ends.iter().filter(|end| end.left.is_some()).count();
                let revoked = ends.len() - left;
                swept.leases = Some(LeaseCount { revoked, left });
            }
            // The log-in may be dead by now: `revoke` logs in again, once.
            if let Some(accessor) = entry.accessor()
                && let Err(error) = self
                    .revoke(login, Target::Token(accessor), run.as_ref())
                    .await
            {
                swept.reason = Some(error.reason());
                // A refusal concerns this one token; anything else all of them.
                if error.kind() == VaultErrorKind::Unavailable {
                    *failure = Some(error);
                }
                return swept;
            }
            if left.is_some() {
                swept.reason = left;
                return swept;
            }
            match entry.accessor() {
                Some(_) => SweepOutcome::Revoked,
                // The line that named the token cannot be read.
                None => self.of_nameless(intent).await,
            }
        } else {
            self.of_nameless(intent).await
        };
        if swept.outcome.is_settled() {
            entry.done();
        }
        swept
    }

    /// What becomes of a token that nobody can name.
    async fn of_nameless(&self, intent: &Intent) -> SweepOutcome {
        match self.client.time().await {
            Some(now) if now > intent.expires => SweepOutcome::Expired,
            _ => SweepOutcome::InFlight,
        }
    }

    /// Sweeps beside the first attempt, when there is anything but our own
    /// log-in in the journal. Listing a folder of one file takes microseconds.
    pub(super) fn sweep_once_in_background(self: &Arc<Self>, login: &HostLogin) {
        if self.swept.swap(true, Ordering::AcqRel) {
            return;
        }
        match self.journal.names() {
            Ok(names) if names.len() > usize::from(login.is_ours()) => {}
            _ => return,
        }
        let shared = Arc::clone(self);
        let task = tokio::spawn(async move {
            match shared.sweep().await {
                Ok(report) if report.is_clean() => tracing::info!(
                    revoked = report.found.len(),
                    live = report.live,
                    "swept the journal"
                ),
                Ok(_) => tracing::warn!(
                    "the journal names tokens that may live; `cofferdam sweep` shows them"
                ),
                Err(error) => tracing::warn!(%error, "the journal cannot be swept"),
            }
        });
        *self.sweeping.lock() = Some(task);
    }
}

fn unreadable(place: &Place, outcome: SweepOutcome) -> Swept {
    let file = place.path.file_name().unwrap_or_default();
    let name = Place {
        path: file.into(),
        block: place.block,
    };
    Swept {
        kind: None,
        id: name
            .to_string()
            .chars()
            .take(120)
            .flat_map(char::escape_debug)
            .collect(),
        task: None,
        created: None,
        expires: None,
        outcome,
        reason: (outcome == SweepOutcome::Left).then_some("journal"),
        leases: None,
    }
}

//! The looks, in their order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::budget::Budget;
use super::report::told;
use super::texts::{RUN_AGAIN, USE_WRAPPED};
use super::width::Width;
use super::{
    Check, CheckId, Report, credentials, folders, journal, login, nodes, probes, server, tcp,
};
use crate::config::HostConfig;
use crate::diagnostic::Diagnostic;
use crate::grants::{self, Grants};
use crate::secret::Secret;
use crate::vault::config::AuthConfig;
use crate::vault::inspect::{Inspection, LoginFacts};
use crate::vault::{VaultConfig, VaultError};

/// What time it is. A test hands in another one.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The time for all of it, unless told otherwise.
const DEFAULT_TIME: Duration = Duration::from_secs(60);

/// How long a node may take to say how it does.
const NODE_TIME: Duration = Duration::from_secs(5);

/// An examination of one host.
pub struct Doctor {
    config: HostConfig,
    file: PathBuf,
    reviewer: Option<Secret>,
    use_wrapped: bool,
    time: Duration,
    clock: Clock,
    stop: CancellationToken,
}

/// What the folder of the grants held.
struct Granted {
    /// Those that can be read.
    grants: Vec<Grants>,
    /// The names of the others.
    unread: Vec<String>,
}

impl Doctor {
    /// An examination of the host with this configuration, which was read from
    /// this file. Contacts nobody yet.
    pub fn new(config: HostConfig, file: PathBuf) -> Self {
        Self {
            config,
            file,
            reviewer: None,
            use_wrapped: false,
            time: DEFAULT_TIME,
            clock: Arc::new(Timestamp::now),
            stop: CancellationToken::new(),
        }
    }

    /// With a token that may read policies, roles and identities. It is used,
    /// and neither renewed nor revoked.
    #[must_use]
    pub fn reviewed_with(mut self, token: Secret) -> Self {
        self.reviewer = Some(token);
        self
    }

    /// Logs in even when that uses up a wrapped secret-id.
    #[must_use]
    pub fn using_wrapped(mut self, yes: bool) -> Self {
        self.use_wrapped = yes;
        self
    }

    /// How long it may take, one call's `timeout` and 10 s of revoking aside.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// By another clock than the machine's.
    #[must_use]
    pub fn by(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Ends early when this is cancelled; what was made is revoked then too.
    #[must_use]
    pub fn until(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// Looks at everything.
    pub async fn examine(self) -> Report {
        let budget = Budget::new(self.time, self.stop.clone());
        let mut report = Report::default();
        let granted = self.files(&mut report);
        report.extend(folders::check(&self.config));
        report.extend(journal::check(&self.config.state));
        report.extend(server::check(&self.config.server));
        report.extend(tcp::check(&self.config.server).await);
        match &self.config.vault {
            Some(vault) => {
                report.extend(credentials::check(vault));
                self.vault(vault, &granted, &budget, &mut report).await;
            }
            None => report.extend(without_vault(&self.file, &granted)),
        }
        if budget.interrupted() {
            report.set_interrupted();
        }
        report
    }

    /// The files that people write. Reading them is what proves that nobody
    /// else can.
    fn files(&self, report: &mut Report) -> Granted {
        let file = self.file.display().to_string();
        let what = "root and this user alone can write it";
        report.push(Check::ok(CheckId::ConfigFile, file, what));

        let id = CheckId::GrantsFile;
        let folder = self.config.grants.display().to_string();
        let mut granted = Granted {
            grants: Vec::new(),
            unread: Vec::new(),
        };
        let files = match grants::load_all(&self.config.grants) {
            Ok(files) => files,
            Err(error) => {
                let cure = (error.hint())
                    .unwrap_or_else(|| "make the folder, or correct `grants` in `[paths]`".into());
                report.push(Check::fault(id, folder, told(&error), cure));
                return granted;
            }
        };
        for found in files {
            match found.grants {
                Ok(grants) => granted.grants.push(grants),
                Err(error) => {
                    let cure = (error.hint())
                        .unwrap_or_else(|| "correct it; docs/GRANTS.md describes it".into());
                    let place = found.path.display().to_string();
                    report.push(Check::fault(id, place, told(&error), cure));
                    let stem = found.path.file_stem().unwrap_or_default();
                    granted.unread.push(stem.to_string_lossy().into_owned());
                }
            }
        }
        if granted.unread.is_empty() {
            let sound = match granted.grants.len() {
                0 => "there is no grants file",
                1 => "the one grants file is sound",
                _ => "all grants files are sound",
            };
            let what = format!("{sound}; root and this user alone can write here");
            report.push(Check::ok(id, folder, what));
        }
        granted
    }

    async fn vault(
        &self,
        vault: &VaultConfig,
        granted: &Granted,
        budget: &Budget,
        report: &mut Report,
    ) {
        let mut settings = vault.clone();
        // No single call may take more than all of it.
        settings.timeout = settings.timeout.min(self.time);
        let mount = mount(&vault.auth);
        let spared = vault.auth.is_used_up() && !self.use_wrapped;
        let width = |login| Width {
            vault,
            granted: &granted.grants,
            unread: &granted.unread,
            login,
            spared,
            mount: &mount,
            budget,
        };

        let inspection = match Inspection::new(settings, &self.config.state) {
            Ok(inspection) => inspection,
            Err(error) => {
                report.failed(
                    CheckId::ConfigVault,
                    self.file.display().to_string(),
                    &error,
                );
                let why = "the `[vault]` settings cannot be used";
                return nothing_more(&width(None), &mount, why, report);
            }
        };
        let place = self.file.display().to_string();
        let what = "the `[vault]` settings can be used";
        report.push(Check::ok(CheckId::ConfigVault, place, what));

        let nodes = inspection.nodes(NODE_TIME.min(self.time)).await;
        report.extend(nodes::check(vault, &nodes, &self.clock));
        if !nodes::can_be_asked(vault, &nodes) {
            report.set_unavailable();
            return nothing_more(&width(None), &mount, "no node of vault serves", report);
        }
        if let Some(over) = budget.over() {
            return nothing_more(&width(None), &mount, over, report);
        }

        let facts = if spared {
            self.spare(&inspection, &mount, report).await;
            None
        } else {
            log_in(&inspection, vault, &mount, report).await
        };
        if facts.is_some() {
            probes::rights(&inspection, report).await;
            probes::tasks(&inspection, &granted.grants, budget, report).await;
        } else {
            for id in [CheckId::HostRights, CheckId::MintTask] {
                report.push(width(None).without_login(id, "vault"));
            }
        }
        let width = width(facts.as_ref());
        match (&self.reviewer, budget.over()) {
            (None, _) => width.unproven(&Width::nobody_reviewed, report),
            (Some(_), Some(over)) => {
                let make = |id, place: &str| Check::unproven(id, place, over, RUN_AGAIN);
                width.unproven(&make, report);
            }
            (Some(token), None) => {
                let reviewer = inspection.reviewer(token.clone());
                width.check(&reviewer, report).await;
            }
        }
        let closed = inspection.close().await;
        report.extend(login::revoked(closed.as_ref(), &mount));
    }

    /// A wrapped secret-id serves one process, and that is the host. Where it
    /// was wrapped is looked at without opening it.
    async fn spare(&self, inspection: &Inspection, mount: &str, report: &mut Report) {
        let id = CheckId::LoginWorks;
        match inspection.look_at_wrapping().await {
            Ok(()) => {
                let what = "the wrapped secret-id is as it should be; logging in would use it up";
                report.push(Check::unasked(id, mount, what, USE_WRAPPED));
            }
            // A host that runs has used it up, as it should.
            Err(error @ VaultError::WrappedUsedUp { .. }) => {
                let cure = error.hint().unwrap_or_default();
                report.push(Check::warning(id, mount, error.to_string(), cure));
            }
            Err(error) => report.failed(id, mount, &error),
        }
    }
}

async fn log_in(
    inspection: &Inspection,
    vault: &VaultConfig,
    mount: &str,
    report: &mut Report,
) -> Option<LoginFacts> {
    let is_lent = vault.auth.is_lent();
    match inspection.login().await {
        Ok(facts) => {
            report.extend(login::check(&facts, mount, is_lent));
            Some(facts)
        }
        Err(error) => {
            report.failed(CheckId::LoginWorks, mount, &error);
            None
        }
    }
}

/// Whatever else would have been asked reads "not proven".
fn nothing_more(width: &Width<'_>, mount: &str, why: &str, report: &mut Report) {
    for id in [CheckId::LoginWorks, CheckId::LoginLife] {
        report.push(Check::unproven(id, mount, why, RUN_AGAIN));
    }
    for id in [CheckId::HostRights, CheckId::MintTask] {
        report.push(Check::unproven(id, "vault", why, RUN_AGAIN));
    }
    let make = |id, place: &str| Check::unproven(id, place, why, RUN_AGAIN);
    width.unproven(&make, report);
}

/// A host that never contacts Vault, when nobody needs it to.
fn without_vault(file: &std::path::Path, granted: &Granted) -> Vec<Check> {
    let id = CheckId::ConfigVault;
    let place = file.display().to_string();
    let needing: Vec<_> = granted
        .grants
        .iter()
        .filter(|grants| grants.needs_vault())
        .map(|grants| grants.task.to_string())
        .collect();
    let check = if needing.is_empty() {
        Check::ok(id, place, "there is no `[vault]`, and no task needs it")
    } else {
        let what = format!(
            "there is no `[vault]`, and {} need it",
            super::texts::names(&needing)
        );
        let cure = "add the table `[vault]`; docs/VAULT.md describes it";
        Check::fault(id, place, what, cure)
    };
    vec![check]
}

fn mount(auth: &AuthConfig) -> String {
    match auth {
        AuthConfig::AppRole(config) => format!("auth/{}", config.mount),
        AuthConfig::Jwt(config) => format!("auth/{}", config.mount),
        AuthConfig::Password(config) => format!("auth/{}", config.mount),
        AuthConfig::Cert(config) => format!("auth/{}", config.mount),
        AuthConfig::Aws(config) => format!("auth/{}", config.mount),
        AuthConfig::Oidc(config) => config.token_file.display().to_string(),
        AuthConfig::Token(config) => format!("the variable `{}`", config.env),
        AuthConfig::TokenFile(config) => config.path.display().to_string(),
    }
}

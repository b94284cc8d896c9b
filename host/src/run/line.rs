//! The line: every step takes the type that the step before made.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::ending::{Ended, audit_report, closed, exit_with, refused_report};
use super::opening::{GivenUp, in_time};
use super::over::Over;
use super::runner::{PreparedTask, Shared};
use super::spans;
use super::{Cancellation, Canceller, MissingRights, Outcome, RunError, RunReport, RunRequest};
use crate::audit::{AuditLog, Event, Recorder};
use crate::capability::{Attempt, AttemptParts, LogSink, Pulse, TaskLog};
use crate::disk;
use crate::engine::GuestOutcome;
use crate::engine::instance::{self, GuestRun};
use crate::grants::Grants;
use crate::lock::Mutex;
use crate::scrub::SecretSet;
use crate::vault::identity::JwtLogin;
use crate::vault::{AttemptAuthority, Circle, Revocation, Session, VaultErrorKind};

/// One walk down the line.
pub(super) struct Line {
    pub(super) shared: Arc<Shared>,
    /// The chain that this run is written to, to its end.
    pub(super) audit: AuditLog,
    pub(super) run: String,
    pub(super) request: RunRequest,
    /// When its attempt began.
    pub(super) begun: Instant,
    /// How it can be ended before its time.
    pub(super) cancel: Cancellation,
    pub(super) secrets: SecretSet,
    /// What is known of an authority that no guest got.
    pub(super) left: Mutex<Option<Revocation>>,
}

/// Everything before the guest, done.
struct Opened {
    prepared: PreparedTask,
    session: Option<Session>,
    /// When the guest has to be done.
    deadline: Instant,
}

impl Line {
    /// Steps 2 to 9, but for the sync. Always ends in a report.
    pub(super) async fn walk(
        self,
        prepared: Result<PreparedTask, RunError>,
        log: Arc<dyn LogSink>,
    ) -> Over {
        let recorder = Arc::new(self.audit.recorder(&self.run));
        let opened = match self.open(prepared, &recorder).await {
            Ok(opened) => opened,
            Err(error) => return self.refuse(&error, &recorder),
        };
        let Opened {
            prepared,
            session,
            deadline,
        } = opened;
        let attempt = self.attempt(&prepared, session.as_ref(), deadline, &recorder, log);
        let guest = self.guest(&prepared, &attempt);
        let guest = guest.instrument(spans::guest()).await;
        let missing_rights = MissingRights {
            policies: policies(session.as_ref()),
            refused: attempt.refused_by_vault(),
        };
        // From here on every path revokes and seals.
        let close = async {
            match session {
                Some(session) => Some(close(session).await),
                None => None,
            }
        };
        // Nothing that goes wrong with the guest's words may stop the end of the
        // authority.
        let is_short = guest.as_ref().is_none_or(GuestRun::is_short);
        let words = async {
            let ended = || guest.map(|guest| Ended::of(guest, &self.secrets));
            match is_short {
                true => ended(),
                false => disk::wait(ended),
            }
        };
        let words = AssertUnwindSafe(words).catch_unwind();
        let (revocation, ended) = if is_short {
            // Vault is asked first; while it works, the words are scrubbed.
            tokio::join!(biased; close, words)
        } else {
            // They take so long that the answer would have to wait.
            (close.await, words.await)
        };
        let ended = ended.ok().flatten().unwrap_or_else(Ended::panicked);
        let report = self.report(ended, &attempt, revocation.as_ref(), &recorder);
        let report = RunReport {
            missing_rights,
            ..report
        };
        self.end(report, &recorder)
    }

    /// Steps 3 to 5 with their audit. When it fails, nothing is left alive.
    async fn open(
        &self,
        prepared: Result<PreparedTask, RunError>,
        recorder: &Recorder,
    ) -> Result<Opened, RunError> {
        let known = prepared.as_ref().ok();
        recorder.record(&Event::RunStarted {
            task: self.request.task().as_str(),
            identity: self.request.identity(),
            caller: self.request.caller(),
            grants: known.map(|task| task.grants.source),
            component: known.map(|task| task.component.digest()),
            granted: known.map(|task| task.grants.names()).unwrap_or_default(),
            tightened: known.and_then(|task| task.tightened.as_ref()),
        })?;
        let prepared = prepared?;
        self.admit(&prepared.grants)?;
        // Cancelled while it waited for its turn: Vault need not be asked.
        if self.cancel.token().is_cancelled() {
            return Err(RunError::Cancelled);
        }
        // The attempt's time counts from here: what Vault takes, the guest does not have.
        let begun = Instant::now();
        let session = match prepared.grants.needs_vault() {
            true => {
                let authority = self.authority(&prepared.grants, begun, recorder);
                Some(Box::pin(authority).await?)
            }
            // It never contacts Vault.
            false => None,
        };
        let deadline = begun + prepared.grants.limits.timeout;
        Ok(Opened {
            prepared,
            session,
            deadline,
        })
    }

    fn admit(&self, grants: &Grants) -> Result<(), RunError> {
        let identity = self.request.identity();
        if !grants.caller.admits(identity) {
            return Err(RunError::Caller {
                task: grants.task.to_string(),
                dag_id: identity.dag_id().to_owned(),
                assurance: identity.assurance(),
                demanded: grants.caller.identity,
            });
        }
        let (size, limit) = (self.request.input().len(), grants.limits.input);
        if size > limit {
            return Err(RunError::InputTooLarge { size, limit });
        }
        Ok(())
    }

    /// Step 5.
    async fn authority(
        &self,
        grants: &Grants,
        begun: Instant,
        recorder: &Recorder,
    ) -> Result<Session, RunError> {
        let vault = self
            .shared
            .vault
            .as_ref()
            .ok_or_else(|| RunError::NoVault {
                task: grants.task.to_string(),
            })?;
        let wanted = AttemptAuthority {
            run: self.run.clone(),
            task: grants.task.clone(),
            deadline: grants.limits.timeout + grants.limits.grace,
            meta: self.meta(grants),
            circle: Circle::new(&grants.task, grants.source, self.request.identity()),
            jwt: grants.authority.as_ref().map(|jwt| JwtLogin {
                mount: jwt.mount.clone(),
                role: jwt.role.clone(),
                policies: jwt.policies.clone(),
                identity: self.request.identity().clone(),
                component: grants.digest,
            }),
        };
        let (span, cancel) = (spans::authority(), self.cancel.token());
        // It keeps its span when it is left to itself.
        let opening = span.in_scope(|| vault.opening(wanted, &self.secrets));
        let opening = in_time(opening, begun + grants.limits.timeout, cancel);
        let opened = opening.instrument(span).await;
        let session = opened.map_err(|given_up| match given_up {
            GivenUp::Failed(error) => {
                if error.may_have_left_a_token() {
                    *self.left.lock() = Some(Revocation::unfinished());
                }
                // Anything worse than that Vault is away is worth telling.
                if cancel.is_cancelled() && error.kind() == VaultErrorKind::Unavailable {
                    RunError::Cancelled
                } else {
                    RunError::from(error)
                }
            }
            GivenUp::Left(opening, cancelled) => {
                vault.leave(opening);
                *self.left.lock() = Some(Revocation::unfinished());
                match cancelled {
                    true => RunError::Cancelled,
                    false => RunError::Slow {
                        limit: grants.limits.timeout,
                    },
                }
            }
        })?;
        let identity = session.identity();
        let recorded = recorder.record(&Event::AuthorityOpened {
            session: identity.session.into(),
            policies: &identity.policies,
            role: identity.role.as_deref(),
            subject: identity.subject.as_deref(),
            entity: identity.entity.as_deref(),
            explicit_max_ttl: session.explicit_max_ttl().as_secs(),
            vault_request_id: session.mint_request_id(),
        });
        if let Err(error) = recorded {
            *self.left.lock() = Some(close(session).await);
            return Err(error.into());
        }
        Ok(session)
    }

    /// The attempt's identity, as it stands in clear in Vault's own audit.
    fn meta(&self, grants: &Grants) -> BTreeMap<String, String> {
        let identity = self.request.identity();
        let bundle = Some(identity.bundle()).filter(|bundle| !bundle.is_empty());
        let entries = [
            ("cofferdam_run", self.run.clone()),
            ("task", grants.task.to_string()),
            ("component", grants.digest.to_string()),
            ("dag_id", identity.dag_id().to_owned()),
            ("task_id", identity.task_id().to_owned()),
            ("run_id", identity.run_id().to_owned()),
            ("try_number", identity.try_number().to_string()),
            ("map_index", identity.map_index().to_string()),
            ("assurance", identity.assurance().to_string()),
        ];
        let bundle = bundle.map(|bundle| ("bundle", bundle.to_owned()));
        (entries.into_iter().chain(bundle))
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    fn attempt(
        &self,
        prepared: &PreparedTask,
        session: Option<&Session>,
        deadline: Instant,
        recorder: &Arc<Recorder>,
        log: Arc<dyn LogSink>,
    ) -> Arc<Attempt> {
        let limits = &prepared.grants.limits;
        Arc::new(Attempt::new(AttemptParts {
            grants: Arc::clone(&prepared.grants),
            identity: self.request.identity().clone(),
            recorder: Arc::clone(recorder),
            session: session.map(Session::handle),
            secrets: self.secrets.clone(),
            http: Arc::clone(&self.shared.http),
            sql: Arc::clone(&self.shared.sql),
            deadline,
            log: Arc::new(TaskLog::new(log, self.secrets.clone(), limits.log)),
            pulse: Pulse::start(),
        }))
    }

    /// Steps 6 and 7. A panic in a host function ends the guest and not the line.
    async fn guest(&self, prepared: &PreparedTask, attempt: &Arc<Attempt>) -> Option<GuestRun> {
        let cancel = self.cancel.token();
        // Cancelled while its authority was opened: it has nothing to undo.
        if cancel.is_cancelled() {
            return Some(GuestRun {
                outcome: GuestOutcome::Cancelled,
                limits: Vec::new(),
            });
        }
        let guest = instance::run(
            &prepared.component,
            attempt,
            &prepared.grants.limits,
            self.request.input(),
            cancel,
        );
        // Nothing of the guest is used after a panic.
        let guest = AssertUnwindSafe(guest).catch_unwind().await.ok();
        attempt.leave().await;
        // The store is gone; whatever still holds a handle gets nothing more.
        attempt.end();
        attempt.close_connections().await;
        guest
    }

    /// Step 10, before step 9 is known.
    fn report(
        &self,
        ended: Ended,
        attempt: &Attempt,
        revocation: Option<&Revocation>,
        recorder: &Recorder,
    ) -> RunReport {
        let Ended {
            outcome,
            result,
            mut limits,
            exit,
        } = ended;
        limits.extend(attempt.limits());
        limits.sort_unstable();
        limits.dedup();
        let revocation = revocation.map(|revocation| closed(revocation, recorder));
        let exit = match &revocation {
            Some(revocation) => exit_with(exit.code(), revocation.complete),
            None => exit.code(),
        };
        RunReport {
            run: self.run.clone(),
            task: self.request.task().to_string(),
            outcome,
            result,
            limits,
            denials: attempt.denials(),
            unlisted_denials: attempt.unlisted_denials(),
            missing_rights: MissingRights::default(),
            calls: attempt.calls(),
            revocation,
            audit: audit_report(&self.audit, None),
            milliseconds: 0,
            exit,
        }
    }

    fn refuse(&self, error: &RunError, recorder: &Recorder) -> Over {
        let task = self.request.task().to_string();
        let report = refused_report(self.run.clone(), task, &self.audit, error);
        let left = self.left.lock().take();
        let report = RunReport {
            revocation: left.map(|left| closed(&left, recorder)),
            ..report
        };
        self.end(report, recorder)
    }

    /// Step 9: the last fact of the run. The sync is its caller's.
    fn end(&self, report: RunReport, recorder: &Recorder) -> Over {
        let ended = Event::RunEnded {
            outcome: report.outcome.word(),
            limits: &report.limits,
            exit: report.exit,
            cancelled_by: match report.outcome {
                Outcome::Cancelled => self.cancel.by().map(Canceller::word),
                _ => None,
            },
        };
        let written = recorder.last(&ended);
        let report = RunReport {
            milliseconds: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..report
        };
        Over::new(report, self.audit.clone(), written)
    }
}

/// Step 8. On the heap: what asks Vault is large, and a run that only waits has no use
/// for the room.
fn close(session: Session) -> impl Future<Output = Revocation> {
    Box::pin(session.close().instrument(spans::revocation()))
}

fn policies(session: Option<&Session>) -> Vec<String> {
    session.map_or_else(Vec::new, |session| session.identity().policies.clone())
}

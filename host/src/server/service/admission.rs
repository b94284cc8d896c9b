//! Submissions: what is taken, what is refused, and what was known already.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::task_tracker::TaskTrackerToken;
use uuid::Uuid;

use super::{Service, unkept};
use crate::api::{Attempt, ProblemKind, RunView, Submission};
use crate::digest::Digest;
use crate::identity::Assurance;
use crate::name::{InvalidName, TaskName};
use crate::run::{PreparedTask, RunRequest};
use crate::server::access::Peer;
use crate::server::budget::Share;
use crate::server::live::{Facts, LiveRun};
use crate::server::queue::{Full, Ticket};
use crate::server::refused::Refused;
use crate::server::settings::Settings;
use crate::server::store::KeyHash;

/// A submission that was taken.
pub(in crate::server) struct Taken {
    pub(in crate::server) run: Uuid,
    /// None for one that was over before.
    live: Option<Arc<LiveRun>>,
    /// Its key was known: this is the run of an earlier submission.
    pub(in crate::server) replayed: bool,
}

/// What a new run holds until it is over.
pub(super) struct Place {
    /// In the queue.
    pub(super) ticket: Ticket,
    /// Among those whom a service that ends waits for.
    pub(super) waited_for: TaskTrackerToken,
    /// For its input.
    pub(super) room: Share,
}

/// What a key led to.
enum Begun {
    /// The run that bears it, with the digest of what was submitted then.
    Known(Uuid, Option<Arc<LiveRun>>, Digest),
    New(Arc<LiveRun>, Place),
}

impl Service {
    /// Whether this caller may submit something now: asked before its body is read.
    pub(in crate::server) fn may_submit(&self, peer: &Peer) -> Result<(), Refused> {
        let settings = self.0.settings.load();
        if !settings.access.may_run_something(peer) {
            return Err(
                Refused::new(ProblemKind::Forbidden, "you may run no task here")
                    .hint("the operator's `[[server.allow]]` says who may run what"),
            );
        }
        settings.pace.check(&peer.owner).map_err(|seconds| {
            self.0.metrics.limited("submissions_per_second");
            Refused::new(
                ProblemKind::TooManyRequests,
                "more submissions in a second than `server.limits` lets one caller make",
            )
            .retry_after(seconds)
        })
    }

    /// Takes a run, and returns once it is written down, or will be with its end that
    /// `is_awaited`; it then goes on by itself.
    pub(in crate::server) async fn submit(
        &self,
        peer: &Arc<Peer>,
        key: &str,
        submission: Submission,
        room: Share,
        is_awaited: bool,
    ) -> Result<Taken, Refused> {
        let settings = self.0.settings.load_full();
        let (task, prepared) = find(&settings, peer, &submission.task)?;
        let digest = digest_of(&submission)?;
        let key = KeyHash::of(&peer.owner, key);
        let Submission {
            attempt,
            input,
            limits,
            task: _,
        } = submission;
        let prepared = prepared.tightened(&limits).map_err(|wider| {
            Refused::new(ProblemKind::Invalid, wider.to_string()).hint(wider.cure())
        })?;
        let identity = (attempt.check(task.as_str(), Assurance::Claimed))
            .map_err(|error| Refused::new(ProblemKind::Invalid, error.to_string()))?;
        let attempt = Attempt::from(&identity);
        let request = RunRequest::of_json(task.clone(), identity, input).by(peer.caller.clone());
        let facts = Facts {
            run: request.run(),
            peer: Arc::clone(peer),
            key,
            submission: digest,
            task: task.clone(),
            attempt,
            terms: prepared.terms(),
            is_awaited,
        };
        let (live, place) = match self.begin(facts, room)? {
            Begun::Known(run, live, known) => {
                return self.replay(run, live, known == digest).await;
            }
            Begun::New(live, place) => (live, place),
        };
        let run = live.run;
        let service = self.clone();
        tokio::spawn(service.carry(Arc::clone(&live), prepared, request, place));
        match live.accepted().await {
            true => Ok(Taken {
                run,
                live: Some(live),
                replayed: false,
            }),
            false => Err(unkept()),
        }
    }

    /// Finds the run of a key, or makes it known and takes a place in the queue.
    fn begin(&self, facts: Facts, room: Share) -> Result<Begun, Refused> {
        // One lock for both, so that of a thousand submissions one begins.
        let mut registry = self.0.registry.lock();
        if let Some((run, submission)) = registry.by_key(&facts.key) {
            return Ok(Begun::Known(run, registry.live(run).cloned(), submission));
        }
        // Under the lock: a service that ends waits for all that came before it did.
        if self.is_draining() {
            let refused = Refused::new(ProblemKind::Unavailable, "the service is ending");
            return Err(refused.retry_after(5));
        }
        // And a reload cancels all that came before it. What comes now is held against
        // what is in effect now.
        let settings = self.0.settings.load();
        if !settings.access.may_run(&facts.peer, &facts.task) {
            return Err(no_such_task(&facts.task));
        }
        let ticket = self.0.queue.enter(&facts.peer.owner, &facts.task);
        let ticket = ticket.map_err(|full| self.full(full))?;
        let live = Arc::new(LiveRun::new(facts));
        registry.begin(Arc::clone(&live));
        let waited_for = self.0.carried.token();
        let place = Place {
            ticket,
            waited_for,
            room,
        };
        Ok(Begun::New(live, place))
    }

    /// The answer to a submission whose key is known.
    async fn replay(
        &self,
        run: Uuid,
        live: Option<Arc<LiveRun>>,
        is_same: bool,
    ) -> Result<Taken, Refused> {
        if !is_same {
            return Err(Refused::new(
                ProblemKind::KeyReused,
                "the idempotency key names another submission of yours",
            )
            .hint("use a new key for every new run, and the old one only to repeat it"));
        }
        if let Some(live) = &live {
            if !live.accepted().await {
                return Err(unkept());
            }
            self.secure(live).await?;
        }
        Ok(Taken {
            run,
            live,
            replayed: true,
        })
    }

    /// How a run is that was taken, after at most so long if it is not over.
    pub(in crate::server) async fn answer(
        &self,
        peer: &Peer,
        taken: &Taken,
        wait: Option<Duration>,
    ) -> Result<RunView, Refused> {
        let Some(live) = &taken.live else {
            return self.view(peer, taken.run).await;
        };
        let Some(wait) = wait else {
            // Who begins a run and does not wait for it is told what it may use, however fast
            // it was: `cofferdam run` says so before the first line.
            return Ok(live.view_with_terms());
        };
        let _ = tokio::time::timeout(wait, live.ended()).await;
        self.secure(live).await?;
        Ok(live.view())
    }

    /// Returns once a run is on the disk that was begun, is not over and may have been
    /// left for later.
    async fn secure(&self, live: &LiveRun) -> Result<(), Refused> {
        match live.is_over() || live.is_noted() || self.note(live).await {
            true => Ok(()),
            false => Err(unwritten(live.run)),
        }
    }

    fn full(&self, full: Full) -> Refused {
        let (limit, detail) = match full {
            Full::Caller => ("queue_per_caller", "too many of your runs wait already"),
            Full::Queue => ("queue", "too many runs wait already"),
        };
        self.0.metrics.limited(limit);
        Refused::new(ProblemKind::TooManyRequests, detail).retry_after(1)
    }
}

/// The task, if this caller may run it. Not there and not allowed look the same.
fn find(settings: &Settings, peer: &Peer, task: &str) -> Result<(TaskName, PreparedTask), Refused> {
    let name: TaskName = (task.parse())
        .map_err(|error: InvalidName| Refused::new(ProblemKind::Invalid, error.to_string()))?;
    let known = settings.catalogue.get(&name);
    let Some(task) = known.filter(|_| settings.access.may_run(peer, &name)) else {
        return Err(no_such_task(&name));
    };
    match &task.prepared {
        Ok(prepared) => Ok((name, prepared.clone())),
        Err(_) => Err(Refused::new(
            ProblemKind::Unavailable,
            format!(
                "task `{name}` cannot be run: {}",
                task.view.unusable.as_deref().unwrap_or_default()
            ),
        )
        .hint("the service's own log says what is wrong with its files")),
    }
}

fn no_such_task(name: &TaskName) -> Refused {
    Refused::new(
        ProblemKind::NotFound,
        format!("there is no task `{name}`, or you may not run it"),
    )
    .hint("`GET /v1/tasks` lists yours; the operator's `[[server.allow]]` says who may run what")
}

/// What makes two submissions the same: every byte of what they ask for.
fn digest_of(submission: &Submission) -> Result<Digest, Refused> {
    let text = serde_json::to_vec(submission).map_err(|_| {
        Refused::new(
            ProblemKind::Invalid,
            "the submission cannot be written as JSON",
        )
    })?;
    Ok(Digest::of(&text))
}

/// A run was begun, and nothing on the disk says so.
fn unwritten(run: Uuid) -> Refused {
    Refused::new(
        ProblemKind::Unwritten,
        format!("run {run} is under way, and that cannot be written down now"),
    )
    .hint(
        "ask again with the same key: that finds the run, unless the service dies meanwhile. The \
         operator has to make room on the disk of the state folder",
    )
    .retry_after(5)
}

//! A run that is not over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use jiff::Timestamp;
use serde_json::value::RawValue;
use tokio::sync::watch;
use uuid::Uuid;

use super::access::Peer;
use super::log::RunLog;
use super::store::{KeyHash, Pace, Record, Weight};
use crate::api::{Attempt, CancelledBy, RunState, RunView, Terms};
use crate::caller::Owner;
use crate::config::SyncedEnds;
use crate::digest::Digest;
use crate::lock::Mutex;
use crate::name::TaskName;
use crate::run::Cancellation;

/// One run from its submission until its end is kept.
pub(super) struct LiveRun {
    pub(super) run: Uuid,
    pub(super) owner: Owner,
    /// Who submitted it.
    pub(super) peer: Arc<Peer>,
    pub(super) key: KeyHash,
    pub(super) submission: Digest,
    pub(super) task: TaskName,
    attempt: Attempt,
    terms: Terms,
    /// Whether whoever submitted it waits for its end, and is told nothing before.
    pub(super) is_awaited: bool,
    submitted: Timestamp,
    pub(super) log: Arc<RunLog>,
    /// How it can be ended before its time.
    pub(super) cancel: Cancellation,
    times: Mutex<Times>,
    phase: watch::Sender<Phase>,
    /// What is written down of it: one of `Noted`.
    noted: AtomicU8,
}

/// What is written down of a run while it is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Noted {
    Nothing,
    /// That it began is on its way to the disk.
    Asked,
    /// That is on the disk.
    Kept,
    /// Nothing, and its end is told before the disk has that: nothing may be on the disk
    /// that its end would have to take back.
    Early,
}

#[derive(Default)]
struct Times {
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    /// What its end takes on the disk, once it was written.
    weight: Weight,
}

/// Where it is.
#[derive(Debug, Clone)]
pub(super) enum Phase {
    /// Not even written down: its submission can still be refused.
    Submitted,
    /// It waits for its turn.
    Queued,
    /// Under way.
    Running,
    /// Over.
    Ended(Arc<RawValue>),
    /// It could not be written down, and was not begun.
    Refused,
}

impl Phase {
    /// The same in the words of the API; none for what was not begun.
    fn state(&self) -> Option<RunState> {
        match self {
            Self::Submitted | Self::Queued => Some(RunState::Queued),
            Self::Running => Some(RunState::Running),
            Self::Ended(_) => Some(RunState::Ended),
            Self::Refused => None,
        }
    }
}

/// What identifies a run.
pub(super) struct Facts {
    pub(super) run: Uuid,
    pub(super) peer: Arc<Peer>,
    pub(super) key: KeyHash,
    pub(super) submission: Digest,
    pub(super) task: TaskName,
    pub(super) attempt: Attempt,
    pub(super) terms: Terms,
    pub(super) is_awaited: bool,
}

impl LiveRun {
    pub(super) fn new(facts: Facts) -> Self {
        Self {
            run: facts.run,
            owner: facts.peer.owner.clone(),
            peer: facts.peer,
            key: facts.key,
            submission: facts.submission,
            task: facts.task,
            attempt: facts.attempt,
            terms: facts.terms,
            is_awaited: facts.is_awaited,
            submitted: Timestamp::now(),
            log: Arc::default(),
            cancel: Cancellation::default(),
            times: Mutex::default(),
            phase: watch::Sender::new(Phase::Submitted),
            noted: AtomicU8::new(Noted::Nothing as u8),
        }
    }

    /// Whether it can do nothing but answer: it has no grants.
    pub(super) fn only_answers(&self) -> bool {
        self.terms.grants.is_empty()
    }

    /// How much what is written of it minds waiting. Whoever has grants asks Vault or a
    /// server, which takes longer than the disk.
    pub(super) fn pace(&self) -> Pace {
        match self.only_answers() {
            true => Pace::Soon,
            false => Pace::Unhurried,
        }
    }

    pub(super) fn moved(&self, phase: Phase) {
        match phase {
            Phase::Running => self.times.lock().started = Some(Timestamp::now()),
            Phase::Ended(_) | Phase::Refused => self.log.close(),
            Phase::Submitted | Phase::Queued => {}
        }
        self.phase.send_replace(phase);
    }

    /// That it began is to be written down; false when that is too late.
    pub(super) fn note(&self) -> bool {
        self.note_as(Noted::Asked) != Noted::Early as u8
    }

    /// Whether nothing can come of it but an answer that somebody waits for.
    pub(super) fn is_brief(&self) -> bool {
        self.is_awaited && self.only_answers()
    }

    /// Has its end told before the disk has it, if that may be: nothing can come of it but an
    /// answer, and nothing of it was written down before. Nothing will be from now on. False
    /// when it may not be, and when it was claimed before.
    pub(super) fn claim_early(&self, synced: SyncedEnds) -> bool {
        let may_be = synced == SyncedEnds::Grants && self.is_brief();
        may_be && self.note_as(Noted::Early) == Noted::Nothing as u8
    }

    /// What it was before, and still is unless that was nothing.
    fn note_as(&self, noted: Noted) -> u8 {
        let (nothing, noted) = (Noted::Nothing as u8, noted as u8);
        let was =
            (self.noted).compare_exchange(nothing, noted, Ordering::Relaxed, Ordering::Relaxed);
        was.unwrap_or_else(|other| other)
    }

    /// It is on the disk that it began.
    pub(super) fn noted(&self) {
        self.noted.store(Noted::Kept as u8, Ordering::Relaxed);
    }

    /// Whether that is on the disk.
    pub(super) fn is_noted(&self) -> bool {
        self.noted.load(Ordering::Relaxed) == Noted::Kept as u8
    }

    /// Notes the moment of its end, before that is kept.
    pub(super) fn over(&self) {
        self.times.lock().ended = Some(Timestamp::now());
    }

    /// Waits until its submission was written down, or could not be: false.
    pub(super) async fn accepted(&self) -> bool {
        let mut phase = self.phase.subscribe();
        let phase = phase.wait_for(|phase| !matches!(phase, Phase::Submitted));
        // The sender is ours: it cannot be gone.
        phase
            .await
            .is_ok_and(|phase| !matches!(*phase, Phase::Refused))
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) {
        let mut phase = self.phase.subscribe();
        let over = |phase: &Phase| matches!(phase, Phase::Ended(_) | Phase::Refused);
        let _ = phase.wait_for(over).await;
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Ended(_))
    }

    /// How it stands; none for one that was not begun after all.
    pub(super) fn state(&self) -> Option<RunState> {
        self.phase.borrow().state()
    }

    /// As its owner sees it; none as above.
    pub(super) fn told(&self) -> Option<RunView> {
        self.state().map(|_| self.view())
    }

    /// As its owner sees it, who was told that it was taken.
    pub(super) fn view(&self) -> RunView {
        let (state, report) = match &*self.phase.borrow() {
            Phase::Ended(report) => (RunState::Ended, Some(report.as_ref().to_owned())),
            phase => (phase.state().unwrap_or(RunState::Queued), None),
        };
        self.view_in(state, report)
    }

    /// The same with its terms, even if it is over.
    pub(super) fn view_with_terms(&self) -> RunView {
        RunView {
            terms: Some(self.terms.clone()),
            ..self.view()
        }
    }

    /// The same without its report.
    pub(super) fn view_without_report(&self) -> RunView {
        self.view_in(self.state().unwrap_or(RunState::Queued), None)
    }

    /// What is kept of it: as it is or, with its report, once it is over.
    pub(super) fn record(&self, report: Option<Arc<RawValue>>) -> Record {
        let (state, log) = match report {
            Some(_) => (RunState::Ended, self.log.kept()),
            None => (RunState::Queued, Vec::new()),
        };
        let keys = (self.key, self.submission);
        let view = RunView {
            // Nobody asks for them later, and every byte is written twice.
            terms: None,
            ..self.view_in(state, None)
        };
        let is_end = report.is_some();
        let record = Record::new(self.owner.clone(), keys, view, report, log);
        if is_end {
            self.times.lock().weight = record.head.weight();
        }
        record
    }

    /// What its end takes on the disk, once there is a record of it.
    pub(super) fn weight(&self) -> Weight {
        self.times.lock().weight
    }

    fn view_in(&self, state: RunState, report: Option<Box<RawValue>>) -> RunView {
        let times = self.times.lock();
        RunView {
            run: self.run,
            task: self.task.to_string(),
            attempt: self.attempt.clone(),
            state,
            submitted: self.submitted,
            started: times.started,
            ended: if state.is_over() { times.ended } else { None },
            terms: (!state.is_over()).then(|| self.terms.clone()),
            report,
            cancelled_by: self.cancel.by().and_then(CancelledBy::of),
            swept: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grants::RunLimits;

    fn live(grants: &[&str], is_awaited: bool) -> LiveRun {
        let peer = Peer::unix((1, 1, None), &[]);
        let attempt = r#"{"dag_id": "tests"}"#;
        LiveRun::new(Facts {
            run: Uuid::now_v7(),
            key: KeyHash::of(&peer.owner, "k"),
            peer: Arc::new(peer),
            submission: Digest::of(b""),
            task: "hello".parse().unwrap(),
            attempt: serde_json::from_str(attempt).unwrap(),
            terms: Terms {
                grants: grants.iter().map(ToString::to_string).collect(),
                limits: RunLimits::default(),
            },
            is_awaited,
        })
    }

    #[test]
    fn only_who_can_do_nothing_but_answer_is_told_before_the_disk_has_it() {
        let early = |live: &LiveRun| live.claim_early(SyncedEnds::Grants);
        assert!(early(&live(&[], true)));
        assert!(!live(&[], true).claim_early(SyncedEnds::All));
        assert!(!early(&live(&[], false)), "nobody waits");
        assert!(!early(&live(&["http.billing"], true)), "it can do more");
        // That it began is on its way to the disk, or there.
        let asked = live(&[], true);
        assert!(asked.note() && !early(&asked));
        asked.noted();
        assert!(asked.is_noted() && !early(&asked));
    }

    #[test]
    fn of_who_is_told_early_nothing_else_is_written() {
        let live = live(&[], true);
        assert!(live.claim_early(SyncedEnds::Grants));
        assert!(!live.note() && !live.is_noted());
    }

    #[test]
    fn a_run_that_was_not_begun_is_told_to_nobody() {
        let live = live(&[], false);
        assert_eq!(live.told().unwrap().state, RunState::Queued);
        live.moved(Phase::Running);
        assert_eq!(live.told().unwrap().state, RunState::Running);
        live.moved(Phase::Refused);
        assert!(live.told().is_none() && live.state().is_none());
    }
}

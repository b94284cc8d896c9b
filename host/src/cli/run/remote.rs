//! `cofferdam run --server`: the same run, carried by a service.

use std::cell::Cell;
use std::time::Duration;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::super::output::{Failure, Format, Output};
use super::{InvalidArgument, RunArgs, print};
use crate::api::{CancelledBy, MAX_WAIT, RunState, RunView, Submission};
use crate::client::{Client, ClientError, LogEvent, Submitted};
use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::run::{Cancellation, InvalidRequest, Outcome, RunReport};

/// How often a call is repeated that did not come through.
const TRIES: u32 = 6;

/// The wait before the first repetition; it doubles each time, so that a service
/// that cannot be reached is waited for about three seconds.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest wait that the service may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Between two looks at a run that is in a state that only a later service has.
const UNKNOWN_WAIT: Duration = Duration::from_secs(1);

/// What to do about words that only a later service has.
const VERSIONS: &str = "look at the service's version and ours";

/// What is said of a run that the service cancelled at its own end.
const STOPPED: &str = "the service cancelled the run: it was stopped, and the run outlasted its `drain`\n\n\
     hint: run it again, with a new key, if the task can be repeated";

/// What is said of a run whose caller lost his right to the task.
const SHUT_OUT: &str = "the service cancelled the run: its operator took away your right to the task\n\n\
     hint: `cofferdam tasks --server SOCKET` lists yours; the operator's `[[server.allow]]` says who \
     may run what";

/// A run whose end nobody can tell us.
#[derive(Debug, thiserror::Error)]
enum NoReport {
    #[error("what became of run {run} is not known: {source}")]
    OutOfReach {
        run: Uuid,
        key: String,
        source: ClientError,
    },
    #[error("whether the run was begun is not known: {source}")]
    Unanswered { key: String, source: ClientError },
    #[error("run {run} was lost: the service died while it was under way")]
    Lost { run: Uuid, swept: bool },
    #[error("the service's report of run {run} cannot be read")]
    Unreadable { run: Uuid },
}

impl Diagnostic for NoReport {
    fn exit(&self) -> Exit {
        Exit::Retry
    }

    fn blame(&self) -> Blame {
        Blame::Operator
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Lost { swept: true, .. } => Some(
                "nobody knows how far it got; its credentials are revoked. Run it again, with a \
                 new key, if the task can be repeated"
                    .to_owned(),
            ),
            Self::Lost { swept: false, .. } => Some(
                "nobody knows how far it got, and a credential of it may be alive: the operator \
                 has to run `cofferdam sweep`"
                    .to_owned(),
            ),
            Self::OutOfReach { key, source, .. } if source.is_passing() => Some(format!(
                "it goes on without us; once the service can be reached, the same command with \
                 `--idempotency-key {key}` finds it again"
            )),
            Self::OutOfReach { source, .. } => source.hint(),
            Self::Unanswered { key, source } => {
                let finds = format!(
                    "the same command with `--idempotency-key {key}` finds the run, or begins it"
                );
                // The last answer refuses it, and the run may go on for all that.
                match source.hint().filter(|_| !source.is_passing()) {
                    Some(cure) => Some(format!("{finds}; {cure}")),
                    None => Some(finds),
                }
            }
            Self::Unreadable { .. } => Some(VERSIONS.to_owned()),
        }
    }
}

pub(super) async fn execute(
    mut args: RunArgs,
    client: &Client,
    output: &Output,
    cancel: Cancellation,
) -> Result<Exit, Failure> {
    let key = args.idempotency_key.take();
    let key = key.unwrap_or_else(|| Uuid::new_v4().to_string());
    let text = super::input(&args.input)?;
    let input = RawValue::from_string(text).map_err(InvalidRequest::NotJson)?;
    let limits = args.limits()?;
    let task = args.task.clone();
    // What the service would refuse for its form is refused here, in the same words.
    let name: crate::name::TaskName = task.parse().map_err(InvalidArgument::from)?;
    let attempt = args.attempt();
    let assurance = crate::identity::Assurance::Claimed;
    (attempt.clone().check(name.as_str(), assurance)).map_err(InvalidArgument::from)?;
    let submission = Submission {
        task,
        attempt,
        input,
        limits,
    };
    let submitted = submit(client, &key, &submission).await?;
    let RunView {
        run, task, terms, ..
    } = submitted.view;
    print::started(output, run, &task, terms);
    let followed = tokio::select! {
        view = follow(client, run, output) => view,
        () = cancel.token().cancelled() => again(async || client.cancel(run).await).await,
    };
    match followed {
        Ok(view) => end(view, cancel.by().is_some(), output),
        // 2, 3 and 4 would say that nothing was begun.
        Err(source) => Err(NoReport::OutOfReach { run, key, source }.into()),
    }
}

/// Submits the run. A request that was sent and not answered may have begun it, whatever
/// is said to the next one, and so may one whose answer cannot be read.
async fn submit(client: &Client, key: &str, submission: &Submission) -> Result<Submitted, Failure> {
    let may_have_begun = Cell::new(false);
    let submitted = again(async || {
        let submitted = client.submit(key, submission).await;
        if submitted.as_ref().is_err_and(leaves_open) {
            may_have_begun.set(true);
        }
        submitted
    });
    match submitted.await {
        Err(source) if may_have_begun.get() || is_a_yes(&source) => {
            let key = key.to_owned();
            Err(NoReport::Unanswered { key, source }.into())
        }
        submitted => Ok(submitted?),
    }
}

/// Whether the run may be under way in spite of this answer. What is said to a later request
/// does not change that.
fn leaves_open(error: &ClientError) -> bool {
    match error {
        ClientError::Broken(_) => true,
        ClientError::Refused(problem) => Exit::from_code(problem.exit) == Exit::Retry,
        _ => false,
    }
}

/// Whether the service took what was sent, in words that we cannot read.
fn is_a_yes(error: &ClientError) -> bool {
    matches!(error, ClientError::Answer { status, .. } if (200..300).contains(status))
}

/// Shows the log as it grows; the run, once it is over.
async fn follow(client: &Client, run: Uuid, output: &Output) -> Result<RunView, ClientError> {
    let mut shown = 0;
    'reading: loop {
        let mut log = again(async || client.log(run, shown).await).await?;
        loop {
            match log.next().await {
                Ok(LogEvent::Line(line)) => {
                    shown = line.sequence;
                    print::entry(output, line);
                }
                Ok(LogEvent::End(_)) => break 'reading,
                Err(error) if error.is_passing() => continue 'reading,
                Err(error) => return Err(error),
            }
        }
    }
    loop {
        let view = again(async || client.run(run, MAX_WAIT).await).await?;
        if view.is_over() {
            return Ok(view);
        }
        if view.state == RunState::Unknown {
            // Whether the service waits in such a state for its end nobody knows.
            tokio::time::sleep(UNKNOWN_WAIT).await;
        }
    }
}

/// Shows how the run ended. With `is_ours` we were asked to cancel it ourselves.
fn end(view: RunView, is_ours: bool, output: &Output) -> Result<Exit, Failure> {
    let run = view.run;
    if view.state == RunState::Lost {
        let swept = view.swept.unwrap_or_default();
        return Err(NoReport::Lost { run, swept }.into());
    }
    let told = view.report.ok_or(NoReport::Unreadable { run })?;
    let report: RunReport =
        serde_json::from_str(told.get()).map_err(|_| NoReport::Unreadable { run })?;
    match output.format() {
        // As it was told: a later service may say more than we understand.
        Format::Json => output.json(&told),
        Format::Text => print::report(&report, output),
    }
    if Exit::known(report.exit).is_none() {
        output.note(format_args!(
            "exit code {} of run {run} is one that this version does not know\n\nhint: {VERSIONS}",
            report.exit
        ));
    }
    let exit = exit_of(&report);
    if is_ours || report.outcome != Outcome::Cancelled {
        return Ok(exit);
    }
    match view.cancelled_by {
        Some(CancelledBy::Service) => {
            output.note(STOPPED);
            // Nobody wanted it to end, so another try is as good as the first.
            Ok(Exit::Retry)
        }
        Some(CancelledBy::Access) => {
            output.note(SHUT_OUT);
            Ok(exit)
        }
        Some(CancelledBy::Caller | CancelledBy::Unknown) | None => Ok(exit),
    }
}

/// What a report makes us end with. An end that is not known is no success, whatever its exit.
fn exit_of(report: &RunReport) -> Exit {
    match (Exit::from_code(report.exit), &report.outcome) {
        (Exit::Done, Outcome::Unknown) => Exit::Failed,
        (exit, _) => exit,
    }
}

/// Repeats a call that can be repeated.
async fn again<T>(mut call: impl AsyncFnMut() -> Result<T, ClientError>) -> Result<T, ClientError> {
    let mut wait = FIRST_WAIT;
    for _ in 1..TRIES {
        match call().await {
            Err(error) if error.is_passing() => {
                let asked = match &error {
                    ClientError::Refused(problem) => problem.retry_after.map(Duration::from_secs),
                    _ => None,
                };
                tokio::time::sleep(asked.unwrap_or(wait).min(LONGEST_WAIT)).await;
                wait *= 2;
            }
            answered => return answered,
        }
    }
    call().await
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use strum::IntoEnumIterator as _;

    use super::super::super::output::LogFormat;
    use super::*;
    use crate::api::{PROBLEM_JSON, Problem, ProblemKind};
    use crate::client::planted::Planted;

    const RUN: &str = "019ab4c1-77aa-7c3e-9d0e-0f6f2f0c8a11";

    /// A run that is over, with these members of its view and of its report.
    fn view(members: Value, report: Value) -> RunView {
        let mut told = json!({
            "run": RUN, "task": "hello", "outcome": {"kind": "cancelled"}, "limits": [],
            "denials": [], "unlisted_denials": 0, "calls": {}, "exit": 130,
            "audit": {"file": "audit/a.jsonl", "head": null, "synced": false},
        });
        told.as_object_mut()
            .unwrap()
            .extend(report.as_object().unwrap().clone());
        let mut view = json!({
            "run": RUN, "task": "hello", "attempt": {"dag_id": "tests"}, "state": "ended",
            "submitted": "2026-11-24T02:31:05Z", "ended": "2026-11-24T02:31:06Z",
            "report": told,
        });
        view.as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        serde_json::from_str(&view.to_string()).unwrap()
    }

    fn exit(view: RunView, is_ours: bool) -> Exit {
        end(view, is_ours, &Output::new(Format::Text, LogFormat::Text)).unwrap()
    }

    #[test]
    fn only_what_the_end_of_the_service_cancelled_is_to_be_tried_again() {
        let by = |word: &str| view(json!({"cancelled_by": word}), json!({}));
        assert_eq!(exit(by("service"), false), Exit::Retry);
        assert_eq!(exit(by("access"), false), Exit::Cancelled);
        assert_eq!(exit(by("caller"), false), Exit::Cancelled);
        assert_eq!(exit(view(json!({}), json!({})), false), Exit::Cancelled);
        // Who asked us to end wants no other try, whoever was first.
        assert_eq!(exit(by("service"), true), Exit::Cancelled);
        // It was done before it heard of it.
        let done = json!({"outcome": {"kind": "done"}, "result": 1, "exit": 0});
        let view = view(json!({"cancelled_by": "service"}), done);
        assert_eq!(exit(view, false), Exit::Done);
    }

    #[tokio::test]
    async fn an_answer_that_cannot_be_read_does_not_say_that_nothing_was_begun() {
        let submission = json!({"task": "hello", "attempt": {"dag_id": "tests"}});
        let submission: Submission = serde_json::from_str(&submission.to_string()).unwrap();
        for (status, exit) in [(201, Exit::Retry), (404, Exit::Usage)] {
            let body = "<p>no document of ours</p>".to_owned();
            let other = Planted::start([("/v1/runs", (status, "text/html", body))]);
            let failed = submit(&other.client(), "k", &submission).await.unwrap_err();
            let output = Output::new(Format::Text, LogFormat::Text);
            assert_eq!(output.failure(&failed), exit, "{status}");
        }
    }

    #[tokio::test]
    async fn a_refusal_after_a_request_that_broke_does_not_say_that_nothing_was_begun() {
        let submission = json!({"task": "hello", "attempt": {"dag_id": "tests"}});
        let submission: Submission = serde_json::from_str(&submission.to_string()).unwrap();
        let output = Output::new(Format::Text, LogFormat::Text);
        for kind in [ProblemKind::Forbidden, ProblemKind::NotFound] {
            // The first request may have begun it; then the right to it went.
            for (broken, exit) in [
                (0, Exit::from_code(Problem::new(kind, "no").exit)),
                (1, Exit::Retry),
            ] {
                let problem = Problem::new(kind, "no");
                let body = serde_json::to_string(&problem).unwrap();
                let answer = (problem.status, PROBLEM_JSON, body);
                let other = Planted::breaking(broken, [("/v1/runs", answer)]);
                let failed = submit(&other.client(), "k", &submission).await.unwrap_err();
                assert_eq!(output.failure(&failed), exit, "{kind}, {broken}");
            }
        }
        // The first says itself that it was begun.
        let answer = |problem: Problem| {
            let body = serde_json::to_string(&problem).unwrap();
            (problem.status, PROBLEM_JSON, body)
        };
        let mut begun = Problem::new(ProblemKind::Unwritten, "it is under way");
        begun.retry_after = Some(1);
        let refused = answer(Problem::new(ProblemKind::Forbidden, "no"));
        let other = Planted::first(vec![Some(answer(begun))], [("/v1/runs", refused)]);
        let failed = submit(&other.client(), "k", &submission).await.unwrap_err();
        assert_eq!(output.failure(&failed), Exit::Retry);
    }

    #[test]
    fn an_end_that_only_a_later_service_has_is_no_success() {
        let ends_with = |outcome: &str, code: u8| {
            let report = json!({"outcome": {"kind": outcome}, "result": 1, "exit": code});
            exit(view(json!({}), report), false)
        };
        assert_eq!(ends_with("done", 0), Exit::Done);
        assert_eq!(ends_with("postponed", 0), Exit::Failed);
        // An exit that is known is taken at its word.
        for known in Exit::iter().filter(|exit| *exit != Exit::Done) {
            assert_eq!(ends_with("postponed", known.code()), known);
        }
        assert_eq!(ends_with("postponed", 42), Exit::Failed);
        assert_eq!(ends_with("done", 42), Exit::Failed);
        let by_quota = view(json!({"cancelled_by": "quota"}), json!({}));
        assert_eq!(exit(by_quota, false), Exit::Cancelled);
        // Its report says how it ended, whatever the state is called.
        let archived = view(json!({"state": "archived"}), json!({}));
        assert_eq!(exit(archived, false), Exit::Cancelled);
        let without = view(json!({"state": "archived", "report": null}), json!({}));
        let output = Output::new(Format::Text, LogFormat::Text);
        let told = output.failure(&end(without, false, &output).unwrap_err());
        assert_eq!(told, Exit::Retry);
    }
}

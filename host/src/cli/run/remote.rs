//! `cofferdam run --server`: the same run, carried by a service.

use std::cell::Cell;
use std::time::Duration;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::super::output::{Failure, Output};
use super::{InvalidArgument, RunArgs, print};
use crate::api::{MAX_WAIT, RunState, RunView, Submission};
use crate::client::{Client, ClientError, LogEvent, Submitted};
use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::run::{Cancellation, InvalidRequest, RunReport};

/// How often a call is repeated that did not come through.
const TRIES: u32 = 6;

/// The wait before the first repetition; it doubles each time, so that a service
/// that cannot be reached is waited for about three seconds.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest wait that the service may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

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
            Self::OutOfReach { key, .. } => Some(format!(
                "it goes on without us; once the service can be reached, the same command with \
                 `--idempotency-key {key}` finds it again"
            )),
            Self::Unanswered { key, .. } => Some(format!(
                "the same command with `--idempotency-key {key}` finds the run, or begins it"
            )),
            Self::Unreadable { .. } => Some("look at the service's version and ours".to_owned()),
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
        Ok(view) => end(view, output),
        // 4 would say that nothing was begun.
        Err(source) if source.is_passing() => Err(NoReport::OutOfReach { run, key, source }.into()),
        Err(error) => Err(error.into()),
    }
}

/// Submits the run. A request that was sent and not answered may have begun it.
async fn submit(client: &Client, key: &str, submission: &Submission) -> Result<Submitted, Failure> {
    let may_have_begun = Cell::new(false);
    let submitted = again(async || {
        let submitted = client.submit(key, submission).await;
        if matches!(submitted, Err(ClientError::Broken(_))) {
            may_have_begun.set(true);
        }
        submitted
    });
    match submitted.await {
        Err(source) if source.is_passing() && may_have_begun.get() => {
            let key = key.to_owned();
            Err(NoReport::Unanswered { key, source }.into())
        }
        submitted => Ok(submitted?),
    }
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
        if view.state.is_over() {
            return Ok(view);
        }
    }
}

fn end(view: RunView, output: &Output) -> Result<Exit, Failure> {
    let run = view.run;
    if view.state == RunState::Lost {
        let swept = view.swept.unwrap_or_default();
        return Err(NoReport::Lost { run, swept }.into());
    }
    let report = view
        .report
        .and_then(|report| serde_json::from_str::<RunReport>(report.get()).ok());
    let report = report.ok_or(NoReport::Unreadable { run })?;
    print::report(&report, output);
    Ok(Exit::from_code(report.exit))
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

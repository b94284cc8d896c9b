//! One attempt: a store of its own, run until it ends or is ended.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use wasmtime::component::ResourceTableError;
use wasmtime::{CallHook, Store, Trap};

use super::LoadedTask;
use super::growth::Growth;
use super::limiter::Limit;
use super::running::{Running, Traits};
use super::state::{CallsExceeded, TaskState};
use crate::capability::Attempt;
use crate::capability::bindings::cofferdam::task::outcome;
use crate::grants::Limits;

/// How the guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuestOutcome {
    /// It returned a result; not yet known to be JSON.
    Done(String),
    /// It declared failure.
    Failed {
        /// What the caller should do.
        disposition: Disposition,
        /// For people; not yet scrubbed.
        message: String,
    },
    /// It trapped. The text is wasmtime's name of the trap.
    Trapped(String),
    /// A limit ended it.
    OutOfLimits(Limit),
    /// It was asked to stop, and did or was stopped.
    Cancelled,
}

/// What the caller should do about a failure that the task declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Disposition {
    /// Try again.
    Retry,
    /// Do not.
    Fail,
    /// There was nothing to do.
    Skip,
    /// A word that only a later version has: read, never said.
    #[serde(other)]
    Unknown,
}

/// The outcome with the limits that bit on the way.
#[derive(Debug, Clone)]
pub struct GuestRun {
    /// How it ended.
    pub outcome: GuestOutcome,
    /// Limits that bit, whether or not they ended it.
    pub limits: Vec<Limit>,
}

/// Words that are scrubbed in well under a millisecond, in bytes.
const SHORT: usize = 64 << 10;

impl GuestRun {
    /// Whether the guest's words are few.
    pub fn is_short(&self) -> bool {
        let words = match &self.outcome {
            GuestOutcome::Done(words)
            | GuestOutcome::Trapped(words)
            | GuestOutcome::Failed { message: words, .. } => words.len(),
            GuestOutcome::OutOfLimits(_) | GuestOutcome::Cancelled => 0,
        };
        words <= SHORT
    }
}

/// Runs one attempt to its end. Never fails: whatever happens to the guest is
/// an outcome. Ends within the deadline, and within the grace period after
/// `cancel`.
pub async fn run(
    task: &LoadedTask,
    attempt: &Arc<Attempt>,
    limits: &Limits,
    input: &str,
    cancel: &CancellationToken,
) -> GuestRun {
    let growth = Growth::at(task.lane().growth_rate());
    let state = TaskState::new(Arc::clone(attempt), limits, growth.clone());
    let guest = call(task.clone(), store(task, state), input.to_owned());
    let traits = Traits {
        share: attempt.share().clone(),
        growth: growth.clone(),
        habit: Arc::clone(task.habit()),
    };
    let mut guest = Running::new(guest, traits, task.lane());
    // On this thread wherever the guest is: its deadline waits for nobody.
    let ended = tokio::select! {
        biased;
        () = stopped(task, attempt, limits, cancel) => End::Stopped,
        limit = timed_out(attempt, limits) => End::Limit(limit),
        result = guest.result() => End::Returned(result),
    };
    guest.end().await;
    let refused = growth.refused();
    let outcome = match ended {
        End::Stopped => GuestOutcome::Cancelled,
        End::Limit(limit) => GuestOutcome::OutOfLimits(limit),
        End::Returned(Ok(Ok(result))) if result.len() > limits.output => {
            GuestOutcome::OutOfLimits(Limit::Output)
        }
        End::Returned(Ok(Ok(result))) => GuestOutcome::Done(result),
        End::Returned(Ok(Err(outcome::Failed { .. }))) if attempt.parts().pulse.cancelled() => {
            GuestOutcome::Cancelled
        }
        End::Returned(Ok(Err(outcome::Failed {
            disposition,
            message,
        }))) => GuestOutcome::Failed {
            disposition: disposition.into(),
            message,
        },
        End::Returned(Err(error)) => trapped(&error, refused),
    };
    let mut hit: Vec<Limit> = refused.into_iter().collect();
    if let GuestOutcome::OutOfLimits(limit) = outcome {
        hit.push(limit);
    }
    if attempt.parts().log.truncated() {
        hit.push(Limit::Log);
    }
    hit.sort_unstable();
    hit.dedup();
    GuestRun {
        outcome,
        limits: hit,
    }
}

enum End {
    Stopped,
    Limit(Limit),
    Returned(wasmtime::Result<Result<String, outcome::Failed>>),
}

/// Bytes that one call may hand to the host. The arguments of a call are
/// copied out of the guest before any of our code sees them; wasmtime's own
/// default is 128 MiB. A grant's request limit is below it.
const CALL_BYTES: usize = 64 << 20;

/// Limits for which wasmtime 48 has a text and no type. tests/limits holds each
/// against the real engine.
const UNTYPED: [(&str, Limit); 2] = [
    (
        "fuel allocated for hostcalls has been exhausted",
        Limit::CallSize,
    ),
    ("instance count too high", Limit::Instances),
];

fn store(task: &LoadedTask, state: TaskState) -> Store<TaskState> {
    let mut store = Store::new(task.pre().engine(), state);
    store.limiter_async(|state| &mut state.limiter);
    store.set_hostcall_fuel(CALL_BYTES);
    // Every tick the guest gives its thread to others.
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    store.call_hook(|mut context, hook| {
        if matches!(hook, CallHook::CallingHost) {
            context.data_mut().count_host_call()?;
        }
        Ok(())
    });
    store
}

/// The guest from its instance to its result. It owns all that it needs, for it
/// may change threads.
async fn call(
    task: LoadedTask,
    mut store: Store<TaskState>,
    input: String,
) -> wasmtime::Result<Result<String, outcome::Failed>> {
    let call = async {
        let instance = task.pre().instantiate_async(&mut store).await?;
        instance.call_run(&mut store, &input).await
    };
    let mut call = pin!(call);
    poll_fn(|cx| {
        task.activity().note();
        call.as_mut().poll(cx)
    })
    .await
}

/// Resolves when the attempt was cancelled and its grace period is over. A
/// task that cannot ask whether it was cancelled gets none.
async fn stopped(
    task: &LoadedTask,
    attempt: &Attempt,
    limits: &Limits,
    cancel: &CancellationToken,
) {
    cancel.cancelled().await;
    attempt.parts().pulse.cancel();
    if task.watches_cancellation() {
        tokio::time::sleep(limits.grace).await;
    }
}

/// Resolves when the attempt is past its deadline or silent for too long.
async fn timed_out(attempt: &Attempt, limits: &Limits) -> Limit {
    let parts = attempt.parts();
    loop {
        let silent = limits
            .heartbeat
            .map(|limit| parts.pulse.last_heartbeat() + limit);
        let wake = silent.map_or(parts.deadline, |silent| silent.min(parts.deadline));
        sleep_until(wake.into()).await;
        let now = Instant::now();
        if now >= parts.deadline {
            return Limit::Timeout;
        }
        if silent.is_some_and(|silent| {
            now >= silent
                && parts.pulse.last_heartbeat() + limits.heartbeat.unwrap_or(Duration::MAX) <= now
        }) {
            return Limit::Heartbeat;
        }
    }
}

/// Names what happened to a guest that did not return.
fn trapped(error: &wasmtime::Error, refused: Option<Limit>) -> GuestOutcome {
    if let Some(CallsExceeded(limit)) = error.downcast_ref() {
        return GuestOutcome::OutOfLimits(*limit);
    }
    if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        return GuestOutcome::OutOfLimits(Limit::Handles);
    }
    let text = error.root_cause().to_string();
    if let Some((_, limit)) = UNTYPED.iter().find(|(part, _)| text.contains(part)) {
        return GuestOutcome::OutOfLimits(*limit);
    }
    match (error.downcast_ref::<Trap>(), refused) {
        // A guest whose allocation failed aborts itself.
        (_, Some(limit)) => GuestOutcome::OutOfLimits(limit),
        (Some(Trap::StackOverflow), None) => GuestOutcome::OutOfLimits(Limit::Stack),
        // A Rust guest's own stack lies at the bottom of its memory, so that its
        // end is an access below 0 and not a stack overflow of wasm.
        (Some(Trap::MemoryOutOfBounds), None) => GuestOutcome::Trapped(format!(
            "{} (a recursion without end in the task shows like this)",
            Trap::MemoryOutOfBounds
        )),
        (Some(trap), None) => GuestOutcome::Trapped(trap.to_string()),
        (None, None) => GuestOutcome::Trapped(text),
    }
}

impl From<outcome::Disposition> for Disposition {
    fn from(disposition: outcome::Disposition) -> Self {
        match disposition {
            outcome::Disposition::Retry => Self::Retry,
            outcome::Disposition::Fail => Self::Fail,
            outcome::Disposition::Skip => Self::Skip,
        }
    }
}

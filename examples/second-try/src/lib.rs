//! A task that asks to be tried again: what it waits for is not there yet.
//!
//! A retry is the caller's to make. Airflow makes it by `retries` and `retry_delay` of the
//! task; `cofferdam run` ends with 75.

use cofferdam_guest::{Context, TaskError, task};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When it is time.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The first try that succeeds.
    succeed_on: u32,
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
struct Output {
    /// The try that succeeded.
    try_number: u32,
}

#[task]
fn run(ctx: Context, input: Input) -> Result<Output, TaskError> {
    let try_number = ctx.identity().try_number;
    if try_number < input.succeed_on {
        log::warn!("try {try_number} is too early");
        return Err(TaskError::retry(format!(
            "not before try {}",
            input.succeed_on
        )));
    }
    Ok(Output { try_number })
}

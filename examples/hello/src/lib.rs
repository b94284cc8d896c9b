//! The smallest task: it greets somebody, and needs nothing from the host.

use cofferdam_guest::{Context, TaskError, task};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whom to greet.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    name: String,
}

/// What to say.
#[derive(Serialize, JsonSchema)]
struct Output {
    greeting: String,
}

#[task]
fn run(_ctx: Context, input: Input) -> Result<Output, TaskError> {
    let name = input.name.trim();
    if name.is_empty() {
        return Err(TaskError::fail("input.name is empty"));
    }
    log::info!("greeting {name}");
    Ok(Output {
        greeting: format!("Hello, {name}!"),
    })
}

//! A guest with the capability `reveal`.

use cofferdam_guest::{Context, TaskError, task};
use probe_common::{Base, reveal::Reveal};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Action {
    Base(Base),
    Reveal(Reveal),
}

#[task]
fn run(ctx: Context, action: Action) -> Result<Value, TaskError> {
    match action {
        Action::Base(action) => action.run(&ctx),
        Action::Reveal(action) => Ok(action.run()),
    }
}

//! A guest with the capability `http`.

use cofferdam_guest::{Context, TaskError, task};
use probe_common::{Base, http::Http};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Action {
    Base(Base),
    Http(Http),
}

#[task]
fn run(ctx: Context, action: Action) -> Result<Value, TaskError> {
    let (answers, then) = match action {
        Action::Base(action) => return action.run(&ctx),
        Action::Http(action) => action.run()?,
    };
    then.map_or(Ok(answers), |action| action.run(&ctx))
}

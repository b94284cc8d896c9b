//! A guest with the capability `sql`.

use cofferdam_guest::{Context, TaskError, task};
use probe_common::{Base, sql::Sql};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Action {
    Base(Base),
    Sql(Sql),
}

#[task]
fn run(ctx: Context, action: Action) -> Result<Value, TaskError> {
    match action {
        Action::Base(action) => action.run(&ctx),
        Action::Sql(action) => action.run(|next| next.run(&ctx)),
    }
}

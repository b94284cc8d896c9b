//! A guest that does several things in turn, with several capabilities.

use cofferdam_guest::{Context, TaskError, task};
use probe_common::{Base, http::Http, keys::Keys, reveal::Reveal, sql::Sql};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// `{"steps": [{"do": …}, …]}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Steps {
    steps: Vec<Action>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Action {
    Base(Base),
    Http(Http),
    Keys(Keys),
    Reveal(Reveal),
    Sql(Sql),
}

/// Returns what each step returned.
#[task]
fn run(ctx: Context, input: Steps) -> Result<Vec<Value>, TaskError> {
    let results = input.steps.into_iter().map(|step| {
        let (value, then) = match step {
            Action::Base(action) => return action.run(&ctx),
            Action::Http(action) => action.run()?,
            Action::Keys(action) => action.run(),
            Action::Reveal(action) => (action.run(), None),
            Action::Sql(action) => return action.run(|next| next.run(&ctx)),
        };
        then.map_or(Ok(value), |action| action.run(&ctx))
    });
    results.collect()
}

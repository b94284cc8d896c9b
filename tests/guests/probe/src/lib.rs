//! A guest without any capability.

use cofferdam_guest::{Context, TaskError, task};
use probe_common::Base;
use serde_json::Value;

#[task]
fn run(ctx: Context, action: Base) -> Result<Value, TaskError> {
    action.run(&ctx)
}

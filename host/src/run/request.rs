//! What a caller asks for.

use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::caller::Caller;
use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::identity::Identity;
use crate::name::TaskName;

/// A run that was asked for: the input is known to be JSON, the identity well-formed.
#[derive(Debug, Clone)]
pub struct RunRequest {
    run: Uuid,
    caller: Option<Caller>,
    task: TaskName,
    identity: Identity,
    input: String,
}

/// A request that cannot be accepted.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRequest {
    /// The input is not JSON.
    #[error("the input is not JSON")]
    NotJson(#[source] serde_json::Error),
}

impl RunRequest {
    /// The largest input that any grants file can allow, in bytes. Edges stop
    /// reading here.
    pub const MAX_INPUT: usize = 64 << 20;

    /// Checks the input's form; its size is checked against the grants.
    ///
    /// # Errors
    /// When the input is not one JSON value.
    pub fn new(task: TaskName, identity: Identity, input: String) -> Result<Self, InvalidRequest> {
        serde_json::from_str::<IgnoredAny>(&input).map_err(InvalidRequest::NotJson)?;
        Ok(Self {
            run: Uuid::now_v7(),
            caller: None,
            task,
            identity,
            input,
        })
    }

    /// The same with an input that is known to be JSON.
    pub fn of_json(task: TaskName, identity: Identity, input: Box<RawValue>) -> Self {
        Self {
            run: Uuid::now_v7(),
            caller: None,
            task,
            identity,
            input: Box::<str>::from(input).into_string(),
        }
    }

    /// The same, asked for by this caller of the service.
    #[must_use]
    pub fn by(mut self, caller: Caller) -> Self {
        self.caller = Some(caller);
        self
    }

    /// Our id of the run: a UUID of version 7, so ids sort by time.
    pub fn run(&self) -> Uuid {
        self.run
    }

    /// Who asked the service for it; none for a run of `cofferdam run`.
    pub fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// The task to run.
    pub fn task(&self) -> &TaskName {
        &self.task
    }

    /// Who asks.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The input, one JSON value.
    pub fn input(&self) -> &str {
        &self.input
    }
}

impl Diagnostic for InvalidRequest {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Task
    }

    fn hint(&self) -> Option<String> {
        Some(
            "pass one JSON value, such as --input '{\"name\": \"Ada\"}' or --input @file.json"
                .to_owned(),
        )
    }
}

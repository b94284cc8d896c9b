//! What a caller asks for.

use serde::de::IgnoredAny;

use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::identity::Identity;
use crate::name::TaskName;

/// A run that was asked for: the input is known to be JSON, the identity well-formed.
#[derive(Debug, Clone)]
pub struct RunRequest {
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
            task,
            identity,
            input,
        })
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

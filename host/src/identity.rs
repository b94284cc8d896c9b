//! Who an attempt is, in Airflow's terms, and how far that can be trusted.

use serde::{Deserialize, Serialize};

/// How the identity of an attempt came to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Assurance {
    /// The caller said so; nobody checked.
    Claimed,
    /// A party other than the task's own code vouched for it.
    Attested,
}

/// One attempt of one task instance. The texts passed [`IdentityParts::check`]:
/// non-empty, bounded, and free of what a policy template, a path or a
/// terminal could misread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    #[serde(skip_serializing_if = "String::is_empty")]
    bundle: String,
    dag_id: String,
    task_id: String,
    run_id: String,
    try_number: u32,
    map_index: i32,
    logical_date: Option<String>,
    assurance: Assurance,
}

/// The unchecked parts of an [`Identity`].
#[derive(Debug, Clone)]
pub struct IdentityParts {
    /// The DAG bundle that the DAG came from; empty when there is none.
    pub bundle: String,
    /// Airflow's `dag_id`.
    pub dag_id: String,
    /// Airflow's `task_id`.
    pub task_id: String,
    /// Airflow's `run_id`.
    pub run_id: String,
    /// 1 for the first try.
    pub try_number: u32,
    /// -1 for a task that is not mapped.
    pub map_index: i32,
    /// RFC 3339, when the run has one.
    pub logical_date: Option<String>,
    /// How the identity came to us.
    pub assurance: Assurance,
}

/// A part of an identity that cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is not acceptable: {rule}")]
pub struct InvalidIdentity {
    field: &'static str,
    rule: &'static str,
}

/// Airflow's own limit on `dag_id`, `task_id`, `run_id` (`ID_LEN` in its models)
/// and on the name of a bundle.
const MAX_ID: usize = 250;

impl IdentityParts {
    /// Checks every part.
    ///
    /// # Errors
    /// Names the first part that is empty, too long, or holds a character that
    /// has a meaning in Vault's templated policies or paths (`* + / { } , " \`)
    /// or a control character (THREATS 16). `run_id` may hold `+`, `:` and `/`-free
    /// text as Airflow writes it (`scheduled__2026-01-01T00:00:00+00:00`).
    pub fn check(self) -> Result<Identity, InvalidIdentity> {
        if !self.bundle.is_empty() {
            check_id("bundle", &self.bundle, false)?;
        }
        check_id("dag_id", &self.dag_id, false)?;
        check_id("task_id", &self.task_id, false)?;
        check_id("run_id", &self.run_id, true)?;
        if self.try_number == 0 {
            return Err(InvalidIdentity {
                field: "try_number",
                rule: "the first try is 1",
            });
        }
        if self.map_index < -1 {
            return Err(InvalidIdentity {
                field: "map_index",
                rule: "-1 for a task that is not mapped, else 0 or more",
            });
        }
        if let Some(date) = &self.logical_date
            && date.parse::<jiff::Timestamp>().is_err()
        {
            return Err(InvalidIdentity {
                field: "logical_date",
                rule: "expected RFC 3339, such as 2026-01-01T00:00:00Z",
            });
        }
        Ok(Identity {
            bundle: self.bundle,
            dag_id: self.dag_id,
            task_id: self.task_id,
            run_id: self.run_id,
            try_number: self.try_number,
            map_index: self.map_index,
            logical_date: self.logical_date,
            assurance: self.assurance,
        })
    }
}

fn check_id(field: &'static str, value: &str, plus: bool) -> Result<(), InvalidIdentity> {
    let rule = if value.is_empty() {
        "it is empty"
    } else if value.len() > MAX_ID {
        "it is longer than 250 bytes"
    } else if value == "." || value.contains("..") {
        "`..` has a meaning in Vault's paths"
    } else if value.chars().any(|c| {
        c.is_control()
            || matches!(c, '*' | '/' | '{' | '}' | ',' | '"' | '\\')
            || (c == '+' && !plus)
    }) {
        "`* + / { } , \" \\` and control characters have a meaning in Vault's policies and paths"
    } else {
        return Ok(());
    };
    Err(InvalidIdentity { field, rule })
}

impl Identity {
    /// The DAG bundle that the DAG came from; empty when there is none.
    pub fn bundle(&self) -> &str {
        &self.bundle
    }

    /// Airflow's `dag_id`.
    pub fn dag_id(&self) -> &str {
        &self.dag_id
    }

    /// Airflow's `task_id`.
    pub fn task_id(&self) -> &str {
        &self.task_id
    }

    /// Airflow's `run_id`.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// 1 for the first try.
    pub fn try_number(&self) -> u32 {
        self.try_number
    }

    /// -1 for a task that is not mapped.
    pub fn map_index(&self) -> i32 {
        self.map_index
    }

    /// RFC 3339, when the run has one.
    pub fn logical_date(&self) -> Option<&str> {
        self.logical_date.as_deref()
    }

    /// How the identity came to us.
    pub fn assurance(&self) -> Assurance {
        self.assurance
    }
}

//! Runs: what is submitted, and what became of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::grants::RunLimits;
use crate::identity::{Assurance, Identity, IdentityParts, InvalidIdentity};
use crate::run::{Canceller, RunReport};

/// A run that is asked for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// The task; `GET /v1/tasks` lists them.
    #[schema(example = "invoice-sync", pattern = "^[a-z0-9-]{1,64}$")]
    pub task: String,
    /// Which attempt of which task instance it is.
    #[serde(deserialize_with = "AskedAttempt::deserialize")]
    pub attempt: Attempt,
    /// The input, any JSON value; `{}` when absent.
    #[serde(default = "empty")]
    #[schema(value_type = serde_json::Value)]
    pub input: Box<RawValue>,
    /// Limits for this run; they can only be tighter than those of the grants.
    #[serde(
        default,
        deserialize_with = "RunLimits::asked",
        skip_serializing_if = "RunLimits::is_empty"
    )]
    pub limits: RunLimits,
}

fn empty() -> Box<RawValue> {
    // A constant that is JSON.
    serde_json::from_str("{}").unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// One attempt of one task instance, in Airflow's terms. Read in an answer, members that
/// only a later service has are passed over; in a [`Submission`] they are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// The DAG bundle that the DAG came from; empty when there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(
        max_length = 250,
        pattern = r#"^([^*+/{},"\\\x00-\x1f\x7f-\x9f.]\.?)*$"#
    )]
    pub bundle: String,
    /// Airflow's dag_id; the grants say which may run the task.
    #[schema(
        example = "billing",
        max_length = 250,
        pattern = r#"^([^*+/{},"\\\x00-\x1f\x7f-\x9f.]\.?)+$"#
    )]
    pub dag_id: String,
    /// Airflow's task_id; the task's name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(
        max_length = 250,
        pattern = r#"^([^*+/{},"\\\x00-\x1f\x7f-\x9f.]\.?)+$"#
    )]
    pub task_id: Option<String>,
    /// Airflow's run_id.
    #[serde(default = "manual")]
    #[schema(
        default = "manual",
        max_length = 250,
        pattern = r#"^([^*/{},"\\\x00-\x1f\x7f-\x9f.]\.?)+$"#
    )]
    pub run_id: String,
    /// Airflow's try_number; the first is 1.
    #[serde(default = "first")]
    #[schema(default = 1, minimum = 1)]
    pub try_number: u32,
    /// Airflow's map_index; -1 for a task that is not mapped.
    #[serde(default = "unmapped")]
    #[schema(default = -1, minimum = -1)]
    pub map_index: i32,
    /// Airflow's logical_date, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub logical_date: Option<String>,
}

/// [`Attempt`] as a caller writes it: what the service does not know it cannot heed.
#[derive(Deserialize)]
#[serde(remote = "Attempt", deny_unknown_fields)]
struct AskedAttempt {
    #[serde(default)]
    bundle: String,
    dag_id: String,
    #[serde(default)]
    task_id: Option<String>,
    #[serde(default = "manual")]
    run_id: String,
    #[serde(default = "first")]
    try_number: u32,
    #[serde(default = "unmapped")]
    map_index: i32,
    #[serde(default)]
    logical_date: Option<String>,
}

fn manual() -> String {
    "manual".to_owned()
}

fn first() -> u32 {
    1
}

fn unmapped() -> i32 {
    -1
}

impl Attempt {
    /// Checks every part.
    ///
    /// # Errors
    /// Names the first part that cannot be accepted.
    pub fn check(self, task: &str, assurance: Assurance) -> Result<Identity, InvalidIdentity> {
        IdentityParts {
            bundle: self.bundle,
            dag_id: self.dag_id,
            task_id: self.task_id.unwrap_or_else(|| task.to_owned()),
            run_id: self.run_id,
            try_number: self.try_number,
            map_index: self.map_index,
            logical_date: self.logical_date,
            assurance,
        }
        .check()
    }
}

impl From<&Identity> for Attempt {
    fn from(identity: &Identity) -> Self {
        Self {
            bundle: identity.bundle().to_owned(),
            dag_id: identity.dag_id().to_owned(),
            task_id: Some(identity.task_id().to_owned()),
            run_id: identity.run_id().to_owned(),
            try_number: identity.try_number(),
            map_index: identity.map_index(),
            logical_date: identity.logical_date().map(str::to_owned),
        }
    }
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RunState {
    /// It waits for its turn.
    Queued,
    /// Its attempt is under way.
    Running,
    /// It has ended, and its authority is closed; `report` says how.
    Ended,
    /// The service died while it was under way. What was left of its authority
    /// was swept when the service came back; nobody knows how far it got.
    Lost,
    /// A word that only a later version has: read, never said.
    #[serde(other)]
    Unknown,
}

impl RunState {
    /// Whether nothing changes any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Ended | Self::Lost)
    }
}

/// Who asked for a run to be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelledBy {
    /// A caller with a right to it.
    Caller,
    /// A reload that took the caller's right to the task away.
    Access,
    /// The service, whose time to drain was over: the same run may do well elsewhere or later.
    Service,
    /// A word that only a later version has: read, never said.
    #[serde(other)]
    Unknown,
}

impl CancelledBy {
    /// The same of a run of a service, which no signal and no lifeline ends.
    pub fn of(canceller: Canceller) -> Option<Self> {
        match canceller {
            Canceller::Caller => Some(Self::Caller),
            Canceller::Access => Some(Self::Access),
            Canceller::Service => Some(Self::Service),
            Canceller::Signal | Canceller::Lifeline => None,
        }
    }
}

/// What a run may use, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Terms {
    /// Its grants, by kind and name: `http.billing`.
    pub grants: Vec<String>,
    /// The limits that hold for it.
    pub limits: RunLimits,
}

/// One run as its caller sees it, and as the service keeps it on the disk: a field that
/// comes later needs `serde(default)`, or what an earlier service kept is lost.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunView {
    /// Our id of the run, as the audit has it.
    pub run: Uuid,
    /// The task.
    pub task: String,
    /// Which attempt it is.
    pub attempt: Attempt,
    /// Where it is.
    pub state: RunState,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// When its turn came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// What it may use; told while the run is not over, and in the answer to a
    /// new submission that does not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// How it ended: what `cofferdam run --format json` prints. There is none
    /// for a run that is not over, or lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<RunReport>)]
    pub report: Option<Box<RawValue>>,
    /// Who asked for its cancellation first, if anybody did; a run may end in another way
    /// before it is heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_by: Option<CancelledBy>,
    /// For a lost run: whether the sweep ended all that was left of its
    /// authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swept: Option<bool>,
}

impl RunView {
    /// Whether nothing of it changes any more. In a state that is not known that is so once its
    /// end is told.
    pub fn is_over(&self) -> bool {
        self.state.is_over() || self.ended.is_some()
    }
}

/// Runs of one caller.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RunList {
    /// The newest first, without their reports; those under way are all among them.
    pub runs: Vec<RunView>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn submission(attempt: &Value, limits: &Value) -> Result<Submission, serde_json::Error> {
        let text = json!({ "task": "hello", "attempt": attempt, "limits": limits });
        serde_json::from_str(&text.to_string())
    }

    #[test]
    fn a_submission_is_read_strictly() {
        let attempt = json!({ "dag_id": "tests" });
        let known = submission(&attempt, &json!({ "timeout": "30s" })).unwrap();
        assert_eq!(known.attempt.run_id, "manual");
        assert_eq!(known.attempt.try_number, 1);
        assert_eq!(known.attempt.map_index, -1);
        assert_eq!(known.limits.timeout.unwrap().as_secs(), 30);
        for (attempt, limits, told) in [
            (
                json!({ "dag_id": "tests", "pool": "big" }),
                json!({}),
                "unknown field `pool`",
            ),
            (
                attempt.clone(),
                json!({ "fuel": 3 }),
                "unknown field `fuel`",
            ),
            (attempt, json!({ "timeout": "48h" }), "48h"),
        ] {
            let error = submission(&attempt, &limits).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        let top: Result<Submission, _> =
            serde_json::from_str(r#"{"task": "hello", "attempt": {"dag_id": "a"}, "pool": 1}"#);
        assert!(
            top.unwrap_err()
                .to_string()
                .contains("unknown field `pool`")
        );
    }

    #[test]
    fn what_a_later_service_adds_spoils_no_view() {
        let view = json!({
            "run": Uuid::nil(), "task": "hello", "state": "queued", "pool": "big",
            "attempt": { "dag_id": "tests", "pool": "big" },
            "submitted": "2026-11-24T02:31:05Z",
            // One more limit, and a range that has grown.
            "terms": { "grants": [], "limits": { "timeout": "48h", "fuel": 3 }, "pool": "big" },
        });
        let view: RunView = serde_json::from_str(&view.to_string()).unwrap();
        assert_eq!(view.attempt.dag_id, "tests");
        let limits = view.terms.unwrap().limits;
        assert_eq!(limits.timeout.unwrap().as_secs(), 48 * 3_600);
    }
}

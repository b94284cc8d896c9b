//! Answers of a later service, which has words that we do not know.

use serde_json::{Value, json};
use uuid::Uuid;

use super::planted::Planted;
use super::*;
use crate::api::{Attempt, CancelledBy, LogEnd, RunState};
use crate::capability::LogLevel;
use crate::diagnostic::{Blame, Diagnostic as _, Exit};
use crate::grants::RunLimits;
use crate::run::{Outcome, RunReport};

const RUN: &str = "019ab4c1-77aa-7c3e-9d0e-0f6f2f0c8a11";

/// A report with this outcome, and with words and members that only a later service has.
fn report(outcome: &Value) -> Value {
    json!({
        "run": RUN, "task": "hello", "outcome": outcome, "limits": ["fuel"], "exit": 0,
        "denials": [{
            "grant": "http.api", "operation": "send", "decision": "quarantined", "count": 1,
        }],
        "unlisted_denials": 0, "calls": {}, "energy": 3,
        "audit": {"file": "audit/a.jsonl", "head": null, "synced": true, "mirrored": true},
    })
}

fn view(state: &str, more: &Value) -> String {
    let mut view = json!({
        "run": RUN, "task": "hello", "attempt": {"dag_id": "tests", "pool": "big"}, "state": state,
        "submitted": "2026-11-24T02:31:05Z", "priority": "high",
        "terms": {"grants": [], "limits": {"fuel": 3, "timeout": "48h"}, "shares": 2},
    });
    let members = view.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    view.to_string()
}

fn submission() -> Submission {
    Submission {
        task: "hello".to_owned(),
        attempt: Attempt {
            bundle: String::new(),
            dag_id: "tests".to_owned(),
            task_id: None,
            run_id: "manual".to_owned(),
            try_number: 1,
            map_index: -1,
            logical_date: None,
        },
        input: serde_json::from_str("{}").unwrap(),
        limits: RunLimits::default(),
    }
}

fn run() -> Uuid {
    RUN.parse().unwrap()
}

#[tokio::test]
async fn words_that_only_a_later_service_has_spoil_no_answer() {
    let ended = json!({
        "ended": "2026-11-24T02:31:06Z", "cancelled_by": "quota",
        "report": report(&json!({"kind": "postponed", "until": "tomorrow"})),
    });
    let log = "event: line\nid: 1\ndata: {\"sequence\":1,\"time\":\"2026-11-24T02:31:05Z\",\
               \"level\":\"notice\",\"target\":\"t\",\"message\":\"m\"}\n\n\
               event: end\ndata: {\"state\":\"archived\"}\n\n";
    let json = "application/json";
    let later = Planted::start([
        ("/v1/runs", (201, json, view("paused", &json!({})))),
        (
            "/v1/runs/019ab4c1-77aa-7c3e-9d0e-0f6f2f0c8a11",
            (200, json, view("archived", &ended)),
        ),
        (
            "/v1/runs/019ab4c1-77aa-7c3e-9d0e-0f6f2f0c8a11/log",
            (200, "text/event-stream", log.to_owned()),
        ),
    ]);
    let client = later.client();
    let submitted = client.submit("k", &submission()).await.unwrap();
    assert_eq!(submitted.view.state, RunState::Unknown);
    assert!(!submitted.view.is_over());

    let mut log = client.log(run(), 0).await.unwrap();
    let LogEvent::Line(line) = log.next().await.unwrap() else {
        panic!("no line")
    };
    assert_eq!((line.level, &*line.message), (LogLevel::Unknown, "m"));
    let state = RunState::Unknown;
    assert_eq!(log.next().await.unwrap(), LogEvent::End(LogEnd { state }));

    let view = client.run(run(), 0).await.unwrap();
    assert_eq!(view.state, RunState::Unknown);
    assert!(view.is_over(), "its end is told");
    assert_eq!(view.cancelled_by, Some(CancelledBy::Unknown));
    let told = view.report.unwrap();
    let report: RunReport = serde_json::from_str(told.get()).unwrap();
    assert_eq!(report.outcome, Outcome::Unknown);
    assert_eq!(report.denials[0].decision.to_string(), "unknown");
    assert!(told.get().contains("postponed"), "the words stay: {told}");
}

#[test]
fn what_is_known_of_an_outcome_stays() {
    let read = |outcome: Value| {
        let report: RunReport = serde_json::from_str(&report(&outcome).to_string()).unwrap();
        report.outcome
    };
    let failed = read(json!({"kind": "failed", "disposition": "escalate", "message": "no"}));
    let Outcome::Failed {
        disposition,
        message,
    } = failed
    else {
        panic!("{failed:?}")
    };
    assert_eq!((&*disposition.to_string(), &*message), ("unknown", "no"));
    let refused = read(json!({
        "kind": "refused", "phase": "attestation", "blame": "caller", "message": "who?",
    }));
    let Outcome::Refused {
        phase,
        blame,
        message,
        hint: None,
    } = refused
    else {
        panic!("{refused:?}")
    };
    assert_eq!(
        (&*phase.to_string(), blame, &*message),
        ("unknown", Blame::Unknown, "who?")
    );
}

#[tokio::test]
async fn a_refusal_for_somebody_new_keeps_its_words() {
    let problem = json!({
        "type": "urn:cofferdam:problem:quota", "title": "too much", "status": 429,
        "detail": "your quota is used up", "phase": "quota", "blame": "treasurer", "exit": 4,
    });
    let later = Planted::start([(
        "/v1/runs",
        (429, "application/problem+json", problem.to_string()),
    )]);
    let refused = later.client().submit("k", &submission()).await.unwrap_err();
    assert_eq!(refused.to_string(), "your quota is used up");
    assert_eq!(
        (refused.exit(), refused.blame()),
        (Exit::Unavailable, Blame::Unknown)
    );
}

#[tokio::test]
async fn a_line_that_cannot_be_read_is_not_asked_for_again() {
    let path = "/v1/runs/019ab4c1-77aa-7c3e-9d0e-0f6f2f0c8a11/log";
    let log = "event: line\nid: 1\ndata: {\"sequence\":\"first\"}\n\n".to_owned();
    let later = Planted::start([(path, (200, "text/event-stream", log))]);
    let mut log = later.client().log(run(), 0).await.unwrap();
    let unreadable = log.next().await.unwrap_err();
    assert!(!unreadable.is_passing(), "{unreadable}");
    assert!(matches!(
        unreadable,
        ClientError::Answer { status: 200, .. }
    ));
}

//! Runs and tasks.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::ask::{self, Caller, Query};
use crate::api::{ProblemKind, REPLAYED, RunList, RunView, Submission, TaskList, TaskView};
use crate::server::refused::Refused;
use crate::server::service::Service;

/// Submit a run.
///
/// It is written down before the answer and goes on whatever becomes of the
/// connection. The same key with the same body gives the same run again, for as
/// long as results are kept.
#[utoipa::path(
    post,
    path = "/v1/runs",
    operation_id = "submit",
    tag = "runs",
    request_body = Submission,
    params(
        ("Idempotency-Key" = String, Header, description = "Names this submission: 1 to 255 visible characters, new for every run", min_length = 1, max_length = 255, pattern = "^[!-~]+$"),
        ("wait" = Option<u64>, Query, description = "Wait at most so many seconds for the end of the run", minimum = 0, maximum = 60),
    ),
    responses(
        (status = 201, description = "The run was taken", body = RunView, headers(("Location" = String, description = "Where the run is"))),
        (status = 200, description = "The key was known: the run of the earlier submission; `Idempotency-Replayed: true`", body = RunView),
        (status = 404, description = "No such task, or not for this caller"),
        (status = 408, description = "The body did not come in time"),
        (status = 413, description = "The body is too large"),
        (status = 415, description = "The body is not JSON"),
        (status = 422, description = "Nothing that can be run, or the key was used for something else"),
        (status = 429, description = "Over a limit of the caller's; see Retry-After", headers(("Retry-After" = u64))),
        (status = 503, description = "No runs are taken now; or, of the kind `unwritten`, it is under way and that cannot be written down"),
    ),
)]
pub(super) async fn submit(
    State(service): State<Service>,
    Caller(peer): Caller,
    query: RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let wait = Query::parse(query, &["wait"])?.wait()?;
    let key = ask::key(&headers)?.to_owned();
    service.may_submit(&peer)?;
    let mut room = service.room_for_body(&peer, ask::announced(&headers))?;
    let submission: Submission = ask::json(&headers, body, service.limits().body).await?;
    room.shrink(submission.input.get().len());
    let wait = wait.filter(|wait| !wait.is_zero());
    let taken = service
        .submit(&peer, &key, submission, room, wait.is_some())
        .await?;
    let view = service.answer(&peer, &taken, wait).await?;
    let status = match taken.replayed {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    let mut response = (status, Json(view)).into_response();
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/runs/{}", taken.run)) {
        headers.insert(header::LOCATION, location);
    }
    if taken.replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// List the caller's newest runs, at most a hundred, without their reports.
#[utoipa::path(
    get,
    path = "/v1/runs",
    operation_id = "list_runs",
    tag = "runs",
    responses(
        (status = 200, description = "The newest first; those under way are all among them", body = RunList),
        (status = 503, description = "Kept results cannot be read now"),
    ),
)]
pub(super) async fn list(
    State(service): State<Service>,
    Caller(peer): Caller,
    query: RawQuery,
) -> Result<Json<RunList>, Refused> {
    Query::parse(query, &[])?;
    let runs = service.list(&peer).await?;
    Ok(Json(RunList { runs }))
}

/// Show a run, with its report when it is over.
#[utoipa::path(
    get,
    path = "/v1/runs/{run}",
    operation_id = "show_run",
    tag = "runs",
    params(
        ("run" = uuid::Uuid, Path, description = "The run's id"),
        ("wait" = Option<u64>, Query, description = "Wait at most so many seconds for its end", minimum = 0, maximum = 60),
    ),
    responses(
        (status = 200, description = "The run", body = RunView),
        (status = 404, description = "The caller has no such run"),
        (status = 503, description = "Kept results cannot be read now"),
    ),
)]
pub(super) async fn show(
    State(service): State<Service>,
    Caller(peer): Caller,
    Path(run): Path<String>,
    query: RawQuery,
) -> Result<Json<RunView>, Refused> {
    let wait = Query::parse(query, &["wait"])?.wait()?;
    let run = ask::run(&run)?;
    Ok(Json(match wait {
        Some(wait) => service.wait(&peer, run, wait).await?,
        None => service.view(&peer, run).await?,
    }))
}

/// Cancel a run; answers when it is over and its authority is closed.
///
/// A run that is over already is shown as it is. When Vault does not confirm within seconds
/// that the authority is closed, `revocation.complete` of the report is false; the service
/// closes it later.
#[utoipa::path(
    post,
    path = "/v1/runs/{run}/cancel",
    operation_id = "cancel_run",
    tag = "runs",
    params(("run" = uuid::Uuid, Path, description = "The run's id")),
    responses(
        (status = 200, description = "The run, which is over", body = RunView),
        (status = 404, description = "The caller has no such run"),
        (status = 503, description = "Kept results cannot be read now"),
    ),
)]
pub(super) async fn cancel(
    State(service): State<Service>,
    Caller(peer): Caller,
    Path(run): Path<String>,
    query: RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<RunView>, Refused> {
    Query::parse(query, &[])?;
    ask::no_body(&headers, body).await?;
    let run = ask::run(&run)?;
    Ok(Json(service.cancel(&peer, run).await?))
}

/// List the tasks that the caller may run.
#[utoipa::path(
    get,
    path = "/v1/tasks",
    operation_id = "list_tasks",
    tag = "tasks",
    responses(
        (status = 200, description = "Sorted by name", body = TaskList),
    ),
)]
pub(super) async fn tasks(
    State(service): State<Service>,
    Caller(peer): Caller,
    query: RawQuery,
) -> Result<Json<TaskList>, Refused> {
    Query::parse(query, &[])?;
    Ok(Json(TaskList {
        tasks: service.tasks(&peer),
    }))
}

/// Show a task: what it needs and what its input looks like.
#[utoipa::path(
    get,
    path = "/v1/tasks/{task}",
    operation_id = "show_task",
    tag = "tasks",
    params(("task" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The task", body = TaskView),
        (status = 404, description = "No such task, or not for this caller"),
    ),
)]
pub(super) async fn task(
    State(service): State<Service>,
    Caller(peer): Caller,
    Path(task): Path<String>,
    query: RawQuery,
) -> Result<Json<TaskView>, Refused> {
    Query::parse(query, &[])?;
    let mut tasks = service.tasks(&peer).into_iter();
    let found = tasks.find(|one| one.name == task);
    found.map(Json).ok_or_else(|| {
        Refused::new(
            ProblemKind::NotFound,
            "there is no such task, or you may not run it",
        )
    })
}

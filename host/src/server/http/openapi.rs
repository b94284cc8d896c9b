//! The API's own description, generated from its types.

use axum::Json;
use axum::extract::RawQuery;
use utoipa::OpenApi;

use super::ask::Query;
use super::{health, page, runs, stream};
use crate::api::{LogEnd, LogEntry, Problem};
use crate::server::refused::Refused;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cofferdam",
        description = "Runs tasks as WebAssembly components that use secrets they can never read."
    ),
    paths(
        runs::submit,
        runs::list,
        runs::show,
        runs::cancel,
        stream::log,
        runs::tasks,
        runs::task,
        health::version,
        health::live,
        health::ready,
        health::vault,
        health::metrics,
        page::show,
        show,
    ),
    components(schemas(LogEntry, LogEnd, Problem)),
    tags(
        (name = "runs", description = "Submit, watch and cancel runs"),
        (name = "tasks", description = "What can be run"),
        (name = "health", description = "How the service does"),
    )
)]
struct Described;

/// The OpenAPI document.
pub fn document() -> utoipa::openapi::OpenApi {
    Described::openapi()
}

/// Show this document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "health",
    responses(
        (status = 200, description = "The OpenAPI document", body = serde_json::Value),
        (status = 400, description = "Malformed", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The caller may not use this service", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn show(query: RawQuery) -> Result<Json<utoipa::openapi::OpenApi>, Refused> {
    Query::parse(query, &[])?;
    Ok(Json(document()))
}

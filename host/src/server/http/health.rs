//! How the service does.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::ask::{Caller, Query};
use crate::api::{Check, Health, ProblemKind, Readiness, VaultHealth, Version};
use crate::server::metrics::Moment;
use crate::server::refused::Refused;
use crate::server::service::Service;

/// The media type of OpenMetrics text.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Tell the version.
#[utoipa::path(
    get,
    path = "/v1/version",
    operation_id = "version",
    tag = "health",
    responses(
        (status = 200, description = "The version", body = Version),
    ),
)]
pub(super) async fn version(query: RawQuery) -> Result<Json<Version>, Refused> {
    Query::parse(query, &[])?;
    Ok(Json(Version {
        name: "cofferdam".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: "v1".to_owned(),
    }))
}

/// Tell that the process answers.
#[utoipa::path(
    get,
    path = "/v1/health/live",
    operation_id = "health_live",
    tag = "health",
    responses(
        (status = 200, description = "It does", body = Health),
    ),
)]
pub(super) async fn live(query: RawQuery) -> Result<Json<Health>, Refused> {
    Query::parse(query, &[])?;
    Ok(Json(Health { live: true }))
}

/// Tell whether the service takes runs.
#[utoipa::path(
    get,
    path = "/v1/health/ready",
    operation_id = "health_ready",
    tag = "health",
    responses(
        (status = 200, description = "It does", body = Readiness),
        (status = 503, description = "It does not", body = Readiness),
    ),
)]
pub(super) async fn ready(
    State(service): State<Service>,
    query: RawQuery,
) -> Result<Response, Refused> {
    Query::parse(query, &[])?;
    let readiness = readiness(&service);
    let status = match readiness.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok((status, Json(readiness)).into_response())
}

/// What the service depends on, and whether it takes runs.
pub(super) fn readiness(service: &Service) -> Readiness {
    let mut checks = service.watched().checks();
    checks.push(Check {
        name: "drain".to_owned(),
        ok: !service.is_draining(),
        problem: service
            .is_draining()
            .then(|| "the service is ending".to_owned()),
    });
    Readiness {
        ready: checks.iter().all(|check| check.ok),
        checks,
    }
}

/// Tell how the nodes of Vault do.
#[utoipa::path(
    get,
    path = "/v1/health/vault",
    operation_id = "health_vault",
    tag = "health",
    responses(
        (status = 200, description = "One of them serves, or none is configured", body = VaultHealth),
        (status = 503, description = "None of them serves", body = VaultHealth),
    ),
)]
pub(super) async fn vault(
    State(service): State<Service>,
    query: RawQuery,
) -> Result<Response, Refused> {
    Query::parse(query, &[])?;
    let health = service.watched().vault_health();
    let status = match health.ok {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok((status, Json(health)).into_response())
}

/// Tell the service's numbers, as OpenMetrics text for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "health",
    responses(
        (status = 200, description = "The numbers", body = String, content_type = "application/openmetrics-text"),
    ),
)]
pub(super) async fn metrics(
    State(service): State<Service>,
    Caller(peer): Caller,
    query: RawQuery,
) -> Result<impl IntoResponse, Refused> {
    Query::parse(query, &[])?;
    if !service.may_read_metrics(&peer) {
        return Err(Refused::new(
            ProblemKind::Forbidden,
            "you may not read the service's numbers",
        )
        .hint("the operator sets `metrics = true` in a `[[server.allow]]` that names you"));
    }
    let (load, kept) = service.load();
    let uptime = jiff::Timestamp::now().duration_since(service.begun());
    let text = service.metrics().text(&Moment {
        running: load.running,
        waiting: load.waiting,
        kept,
        is_ready: readiness(&service).ready,
        nodes: service.watched().vault_health().nodes,
        uptime: uptime.as_secs_f64(),
        key_set_age: service.tokens().map_or(0, |tokens| tokens.age()),
    });
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text))
}

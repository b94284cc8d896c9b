//! The API's routes with their description, generated from its types.

use std::sync::LazyLock;

use axum::Json;
use axum::extract::RawQuery;
use utoipa::OpenApi;
use utoipa::openapi::RefOr;
use utoipa::openapi::content::Content;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::response::Response;
use utoipa::openapi::schema::{Ref, Schema, SchemaType, Type};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::Query;
use super::{health, page, runs, stream};
use crate::api::{LogEnd, LogEntry, Problem};
use crate::server::refused::Refused;
use crate::server::service::Service;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cofferdam",
        description = "Runs tasks as WebAssembly components that use secrets they can never read."
    ),
    components(schemas(LogEntry, LogEnd, Problem)),
    tags(
        (name = "runs", description = "Submit, watch and cancel runs"),
        (name = "tasks", description = "What can be run"),
        (name = "health", description = "How the service does"),
    )
)]
struct General;

/// The document, which is the same for every service of this version.
static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(document);

/// Every route with its description: what is not described is not served, and the
/// other way round.
pub(super) fn described() -> OpenApiRouter<Service> {
    OpenApiRouter::with_openapi(General::openapi())
        .routes(routes!(runs::submit, runs::list))
        .routes(routes!(runs::show))
        .routes(routes!(runs::cancel))
        .routes(routes!(stream::log))
        .routes(routes!(runs::tasks))
        .routes(routes!(runs::task))
        .routes(routes!(health::version))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::vault))
        .routes(routes!(health::metrics))
        .routes(routes!(page::show))
        .routes(routes!(show))
}

/// The OpenAPI document, as `GET /openapi.json` gives it.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = described().into_openapi();
    let schemas = document.components.iter_mut();
    for schema in schemas.flat_map(|it| it.schemas.values_mut()) {
        without_unknown(schema);
    }
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            operation
                .parameters
                .iter_mut()
                .flatten()
                .for_each(absent_is_not_null);
            refusals_are_problems(operation);
        }
    }
    document
}

/// Takes out what stands for the words of later versions, which no service says; false when
/// nothing else is left.
fn without_unknown(schema: &mut RefOr<Schema>) -> bool {
    match schema {
        RefOr::T(Schema::Object(object)) => match &mut object.enum_values {
            Some(words) => {
                words.retain(|word| word != "unknown");
                !words.is_empty()
            }
            None => object.properties.values_mut().all(without_unknown),
        },
        RefOr::T(Schema::OneOf(several)) => {
            several.items.retain_mut(without_unknown);
            true
        }
        _ => true,
    }
}

/// A parameter that may be absent is described as one that may be null, for which
/// there is no way to write it.
fn absent_is_not_null(parameter: &mut RefOr<Parameter>) {
    if let RefOr::T(parameter) = parameter
        && let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
        && let SchemaType::Array(types) = &mut object.schema_type
    {
        types.retain(|one| *one != Type::Null);
        if let [only] = types.as_slice() {
            object.schema_type = SchemaType::Type(only.clone());
        }
    }
}

/// What every path can be refused for.
const REFUSALS: [(&str, &str); 4] = [
    ("400", "Malformed"),
    (
        "401",
        "Over TCP: no certificate and no token that is accepted",
    ),
    ("403", "The caller may not use this service"),
    ("429", "Over a limit of the caller's; see Retry-After"),
];

/// Adds these, and says of every refusal that is not described otherwise that it is
/// a problem document.
fn refusals_are_problems(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    for (status, description) in REFUSALS {
        let response = || RefOr::T(Response::new(description));
        responses.entry(status.to_owned()).or_insert_with(response);
    }
    for (status, response) in responses {
        if let RefOr::T(response) = response
            && status.starts_with(['4', '5'])
            && response.content.is_empty()
        {
            let problem = Content::new(Some(Ref::from_schema_name("Problem")));
            let name = "application/problem+json".to_owned();
            response.content.insert(name, RefOr::T(problem));
        }
    }
}

/// Show this document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "health",
    responses(
        (status = 200, description = "The OpenAPI document", body = serde_json::Value),
    ),
)]
pub(super) async fn show(
    query: RawQuery,
) -> Result<Json<&'static utoipa::openapi::OpenApi>, Refused> {
    Query::parse(query, &[])?;
    Ok(Json(&*DOCUMENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_later_words_is_not_described() {
        let text = |document| serde_json::to_string(&document).unwrap();
        assert!(!text(document()).contains("\"unknown\""));
        // It would be, and every word that is said stays.
        let all = text(described().into_openapi());
        assert_eq!(all.matches("\"unknown\"").count(), 8, "{all}");
        for word in [
            "lost",
            "access",
            "out_of_limits",
            "skip",
            "guest",
            "host",
            "warn",
        ] {
            assert!(text(document()).contains(&format!("\"{word}\"")), "{word}");
        }
    }
}

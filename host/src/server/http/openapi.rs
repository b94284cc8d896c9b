//! The API's own description, generated from its types.

use axum::Json;
use axum::extract::RawQuery;
use utoipa::OpenApi;
use utoipa::openapi::RefOr;
use utoipa::openapi::content::Content;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::response::Response;
use utoipa::openapi::schema::{Ref, Schema, SchemaType, Type};

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
    let mut document = Described::openapi();
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
pub(super) async fn show(query: RawQuery) -> Result<Json<utoipa::openapi::OpenApi>, Refused> {
    Query::parse(query, &[])?;
    Ok(Json(document()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_later_words_is_not_described() {
        let described = |document| serde_json::to_string(&document).unwrap();
        assert!(!described(document()).contains("\"unknown\""));
        // It would be, and every word that is said stays.
        let all = described(Described::openapi());
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
            assert!(
                described(document()).contains(&format!("\"{word}\"")),
                "{word}"
            );
        }
    }
}

//! The service's API over HTTP.

mod ask;
mod health;
mod openapi;
mod page;
mod pieces;
mod runs;
mod stream;
mod unread;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{StatusCode, Version, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;

use super::access::Peer;
use super::door::Visit;
use super::refused::Refused;
use super::service::Service;
use crate::api::ProblemKind;

pub use openapi::document;
use pieces::{PIECE, Pieces};
use unread::Reading;

/// Every route. A request bears the [`Visit`] that it belongs to as an extension,
/// and from there on whoever makes it.
pub(super) fn routes(service: Service) -> Router {
    Router::from(openapi::described())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(service.clone(), admit))
        .with_state(service)
}

/// Answers a request, and says so when its connection ends with the answer.
async fn admit(State(service): State<Service>, request: Request, next: Next) -> Response {
    let (reading, request) = Reading::of(request);
    let mut response = answer(&service, request, next).await;
    reading.tell(&mut response);
    response
}

/// Who is not known, or named by no rule, learns nothing.
async fn answer(service: &Service, mut request: Request, next: Next) -> Response {
    let visit = request.extensions().get::<Arc<Visit>>().cloned();
    let peer = match visit {
        Some(visit) => visit.caller(service, request.headers()).await,
        None => Err(Refused::new(
            ProblemKind::Unauthenticated,
            "nobody knows who you are",
        )),
    };
    let (route, response) = match peer {
        Ok(peer) => {
            // What nobody after us needs, nobody after us can tell.
            request.headers_mut().remove(header::AUTHORIZATION);
            request.extensions_mut().insert(Arc::clone(&peer));
            let route = request.extensions().get::<MatchedPath>().cloned();
            let uncounted = uncounted(request.version());
            let response = next.run(request).await;
            (route, bounded(service, &peer, uncounted, response).await)
        }
        Err(refused) => {
            let response = refused.into_response();
            service
                .metrics()
                .answered("refused", response.status().as_u16());
            return response;
        }
    };
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    service
        .metrics()
        .answered(route, response.status().as_u16());
    response
}

/// What an answer may have, in bytes, that nobody counts. A connection of HTTP/1 has one
/// answer at a time, and the number of connections is bounded; one of HTTP/2 has many.
fn uncounted(version: Version) -> usize {
    match version {
        Version::HTTP_2 => 0,
        _ => PIECE,
    }
}

/// Counts an answer for its caller until it was sent, or gives none. One of which nobody
/// knows how long it is counts for itself: see `stream`.
async fn bounded(service: &Service, peer: &Peer, uncounted: usize, response: Response) -> Response {
    let Some(size) = response.body().size_hint().exact() else {
        return response;
    };
    let bytes = usize::try_from(size).unwrap_or(usize::MAX);
    if bytes <= uncounted {
        return response;
    }
    let room = match service.room_for_answer(peer, bytes) {
        Ok(room) => room,
        Err(refused) => return refused.into_response(),
    };
    let (head, body) = response.into_parts();
    // It is all there: nothing is waited for.
    match body.collect().await {
        Ok(body) => Response::from_parts(head, Body::new(Pieces::new(body.to_bytes(), room))),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn no_such_path() -> Refused {
    Refused::new(ProblemKind::NotFound, "there is no such path")
        .hint("`GET /openapi.json` describes every one")
}

async fn no_such_method() -> Refused {
    Refused::new(ProblemKind::MethodNotAllowed, "this path has other methods")
        .hint("`GET /openapi.json` describes every one")
}

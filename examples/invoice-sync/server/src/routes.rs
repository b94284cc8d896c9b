//! The routes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::order::{self, Day};
use crate::{Invoice, PAGE_SIZE, Token, invoices};

/// The largest summary, in bytes.
const MAX_SUMMARY: usize = 1024 * 1024;
/// How many summaries are kept; later ones are refused.
const MAX_SUMMARIES: usize = 10_000;

#[derive(Debug)]
struct Books {
    invoices: Vec<Invoice>,
    summaries: Mutex<HashMap<String, Summary>>,
}

/// What a caller hands in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Summary {
    summary: Value,
    /// Vault's form, `vault:vN:…`; who has the public key can check it.
    signature: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    page: Option<usize>,
}

pub(crate) fn routes(token: Token) -> Router {
    let books = Arc::new(Books {
        invoices: invoices(),
        summaries: Mutex::default(),
    });
    Router::new()
        .route("/v1/invoices", get(list))
        .route("/v1/orders.csv", get(orders))
        .route("/v1/summaries", post(hand_in))
        .route("/v1/summaries/{receipt}", get(look_up))
        .layer(DefaultBodyLimit::max(MAX_SUMMARY))
        .layer(middleware::from_fn_with_state(token, demand_token))
        .with_state(books)
}

async fn demand_token(State(token): State<Token>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION);
    if token.is_in(given.map(|value| value.as_bytes())) {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (
        challenge,
        refuse(StatusCode::UNAUTHORIZED, "a valid bearer token is needed"),
    )
        .into_response()
}

async fn list(
    State(books): State<Arc<Books>>,
    query: Result<Query<Page>, QueryRejection>,
) -> Response {
    let Ok(Query(Page { page })) = query else {
        return refuse(StatusCode::BAD_REQUEST, "`page` is a number from 1");
    };
    let page = page.unwrap_or(1);
    let Some(index) = page.checked_sub(1) else {
        return refuse(StatusCode::BAD_REQUEST, "`page` is a number from 1");
    };
    let pages = books.invoices.len().div_ceil(PAGE_SIZE);
    let Some(invoices) = books.invoices.chunks(PAGE_SIZE).nth(index) else {
        return refuse(StatusCode::NOT_FOUND, "there is no such page");
    };
    Json(json!({"page": page, "pages": pages, "invoices": invoices})).into_response()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Until {
    until: String,
}

async fn orders(query: Result<Query<Until>, QueryRejection>) -> Response {
    let day = query.ok().and_then(|Query(query)| Day::parse(&query.until));
    let Some(day) = day else {
        return refuse(StatusCode::BAD_REQUEST, "`until` is a day, `2026-MM-DD`");
    };
    match order::csv(day) {
        Ok(csv) => ([(header::CONTENT_TYPE, "text/csv")], csv).into_response(),
        Err(_) => refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the orders cannot be written",
        ),
    }
}

async fn hand_in(
    State(books): State<Arc<Books>>,
    body: Result<Json<Summary>, JsonRejection>,
) -> Response {
    let Ok(Json(summary)) = body else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "`summary` and `signature` are needed",
        );
    };
    if !summary.signature.starts_with("vault:v") {
        return refuse(
            StatusCode::UNPROCESSABLE_ENTITY,
            "`signature` is not Vault's",
        );
    }
    let mut summaries = books
        .summaries
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if summaries.len() >= MAX_SUMMARIES {
        return refuse(StatusCode::INSUFFICIENT_STORAGE, "too many summaries");
    }
    let receipt = format!("rcpt-{:06}", summaries.len() + 1);
    summaries.insert(receipt.clone(), summary);
    (StatusCode::CREATED, Json(json!({"receipt": receipt}))).into_response()
}

async fn look_up(State(books): State<Arc<Books>>, Path(receipt): Path<String>) -> Response {
    let summaries = books
        .summaries
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    match summaries.get(&receipt) {
        Some(Summary { summary, signature }) => {
            Json(json!({"summary": summary, "signature": signature})).into_response()
        }
        None => refuse(StatusCode::NOT_FOUND, "there is no such receipt"),
    }
}

fn refuse(status: StatusCode, reason: &str) -> Response {
    (status, Json(json!({"error": reason}))).into_response()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// A server that ends with the test's runtime, and a client.
    async fn start() -> (String, reqwest::Client) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "t0ken").unwrap();
        let token = Token::from_file(&folder.path().join("token")).unwrap();
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let address = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(crate::serve(listener, token));
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]);
        (address, client.build().unwrap())
    }

    #[tokio::test]
    async fn nothing_without_the_token() {
        let (address, client) = start().await;
        for path in ["/invoices", "/summaries/x", "/none"] {
            for token in [None, Some("wrong")] {
                let mut request = client.get(format!("{address}{path}"));
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
                let response = request.send().await.unwrap();
                assert_eq!(response.status(), 401, "{path}");
                assert_eq!(response.headers()["www-authenticate"], "Bearer");
            }
        }
        let request = client
            .get(format!("{address}/invoices"))
            .bearer_auth("t0ken");
        assert_eq!(request.send().await.unwrap().status(), 200);
    }

    #[tokio::test]
    async fn pages_hold_every_invoice_once() {
        let (address, client) = start().await;
        let mut ids = std::collections::HashSet::new();
        let mut page = 1;
        loop {
            let request = client.get(format!("{address}/invoices?page={page}"));
            let answer = request.bearer_auth("t0ken").send().await.unwrap();
            let answer: Value = answer.json().await.unwrap();
            assert_eq!(answer["page"], page);
            for invoice in answer["invoices"].as_array().unwrap() {
                assert!(ids.insert(invoice["id"].as_str().unwrap().to_owned()));
            }
            if answer["pages"] == page {
                break;
            }
            page += 1;
        }
        assert_eq!(ids.len() as u64, crate::INVOICES);
        for (query, status) in [
            ("page=0", 400),
            ("page=x", 400),
            ("page=1000", 404),
            ("p=1", 400),
        ] {
            let request = client.get(format!("{address}/invoices?{query}"));
            let answer = request.bearer_auth("t0ken").send().await.unwrap();
            assert_eq!(answer.status(), status, "{query}");
        }
    }

    #[tokio::test]
    async fn a_summary_gets_a_receipt() {
        let (address, client) = start().await;
        let hand_in = |body: Value| {
            let request = client.post(format!("{address}/summaries"));
            request.bearer_auth("t0ken").json(&body).send()
        };
        let body = json!({"summary": {"total": 1}, "signature": "vault:v1:c2ln"});
        let answer = hand_in(body.clone()).await.unwrap();
        assert_eq!(answer.status(), 201);
        let receipt: Value = answer.json().await.unwrap();
        let receipt = receipt["receipt"].as_str().unwrap();

        let request = client.get(format!("{address}/summaries/{receipt}"));
        let kept: Value = request
            .bearer_auth("t0ken")
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(kept, body);

        let unsigned = json!({"summary": {}, "signature": "mine"});
        assert_eq!(hand_in(unsigned).await.unwrap().status(), 422);
        let wrong = json!({"summary": {}, "signature": "vault:v1:x", "more": 1});
        assert_eq!(hand_in(wrong).await.unwrap().status(), 400);
    }
}

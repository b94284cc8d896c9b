//! The capability against servers that answer byte for byte as a test says.

mod answers;
mod destinations;
mod grants;
mod requests;
mod server;
mod tls;

use std::sync::Arc;

use super::exchange::send;
use super::host::{ClientHandle, ResponseHandle};
use crate::capability::bindings::cofferdam::capabilities::http::{Error, Request};
use crate::capability::bindings::cofferdam::capabilities::types::Denial;
use crate::capability::testing::Stage;
use crate::capability::{Attempt, CredentialSource};
use crate::vault::path::KvPath;

/// The secret of these tests.
const TOKEN: &str = "canary-7f3a9c51-token";

/// A grant for a server on this machine, with more fields.
fn table(port: u16, more: &str) -> String {
    format!(
        "base = \"http://127.0.0.1:{port}/v1/\"\nnetwork = \"loopback\"\nplain = true\n\
         allow = [\"GET **\", \"POST **\", \"HEAD **\"]\n{more}"
    )
}

/// [`table`] under a bearer token.
fn bearer(port: u16) -> String {
    table(
        port,
        "credential = { kv2 = { mount = \"secret\", path = \"billing\", field = \"token\" } }\n\
         inject = { header = \"Authorization\", value = \"Bearer {token}\" }",
    )
}

fn secret_path() -> CredentialSource {
    CredentialSource::Kv {
        path: KvPath::V2 {
            mount: "secret".parse().unwrap(),
            path: "billing".parse().unwrap(),
            version: None,
        },
        cache_ttl: std::time::Duration::ZERO,
    }
}

/// An attempt with one grant, `api`, whose secret has been read.
fn attempt_with(table: &str) -> (Arc<Attempt>, tempfile::TempDir) {
    let (attempt, folder) = Stage::default().http("api", table).attempt();
    attempt.credentials().plant(
        &secret_path(),
        &[
            ("token", TOKEN),
            ("user", "alice"),
            ("pass", "p/ss+w\u{f6}rd-long"),
        ],
    );
    (attempt, folder)
}

fn get(path: &str) -> Request {
    Request {
        method: "GET".to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
        body: None,
        timeout_ms: None,
    }
}

async fn call(attempt: &Arc<Attempt>, request: Request) -> Result<ResponseHandle, Error> {
    let client = ClientHandle::open(attempt, "api").unwrap();
    send(attempt, &client, request).await
}

/// The whole body, in reads of 100 bytes.
async fn read_all(response: &mut ResponseHandle) -> Result<Vec<u8>, Error> {
    let mut whole = Vec::new();
    loop {
        let part = response.parts().2.read(100).await?;
        if part.is_empty() {
            return Ok(whole);
        }
        whole.extend(part);
    }
}

fn denial<T>(result: Result<T, Error>) -> Denial {
    match result {
        Err(Error::Denied(failure)) => {
            assert!(!failure.audit_ref.is_empty());
            failure.kind
        }
        Err(other) => panic!("not denied but {other:?}"),
        Ok(_) => panic!("not denied"),
    }
}

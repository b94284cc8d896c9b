//! The bare calls of one attempt: mint, 200-byte fdatasync, KV read, perhaps an
//! upstream call, revoke; the same client libraries as the host's.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::{Value, json};

/// Where the calls go.
#[derive(Deserialize)]
pub(crate) struct Plan {
    vault: String,
    pub(crate) token_file: PathBuf,
    role_id_file: PathBuf,
    secret_id_file: PathBuf,
    token_role: String,
    policy: String,
    /// What is read: a secret, or a path that makes a database user.
    pub(crate) read_path: String,
    field: String,
    #[serde(default)]
    upstream: Option<String>,
    sync_folder: PathBuf,
}

/// As the host does, it asks Vault over hyper itself, and an upstream over reqwest.
#[derive(Clone)]
pub(crate) struct Client {
    vault: legacy::Client<HttpConnector, Full<Bytes>>,
    upstream: reqwest::Client,
}

pub(crate) fn client() -> Result<Client> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Ok(Client {
        vault: legacy::Client::builder(TokioExecutor::new()).build(connector),
        upstream: reqwest::Client::builder()
            .tls_certs_only([])
            .no_proxy()
            .build()?,
    })
}

pub(crate) async fn attempts(client: &Client, plan: &Plan, n: usize) -> Result<Vec<u64>> {
    let token = read(&plan.token_file)?;
    let mut nanos = Vec::with_capacity(n);
    for i in 0..n {
        let start = Instant::now();
        attempt(client, plan, &token, i).await?;
        nanos.push(u64::try_from(start.elapsed().as_nanos())?);
    }
    std::fs::remove_file(plan.sync_folder.join(SYNCED))?;
    Ok(nanos)
}

/// `n` attempts of which `at_once` are under way together; how long all took.
pub(crate) async fn parallel(client: &Client, plan: Plan, n: usize, at_once: usize) -> Result<u64> {
    let token = read(&plan.token_file)?;
    let shared = Arc::new((client.clone(), plan, token, AtomicUsize::new(0)));
    let start = Instant::now();
    let mut lanes = tokio::task::JoinSet::new();
    for _ in 0..at_once {
        let shared = Arc::clone(&shared);
        lanes.spawn(async move {
            let (client, plan, token, next) = &*shared;
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= n {
                    return Ok::<_, anyhow::Error>(());
                }
                let (child, accessor) = mint(client, plan, token, i).await?;
                secret(client, plan, &child).await?;
                revoke(client, plan, token, &accessor).await?;
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane??;
    }
    Ok(u64::try_from(start.elapsed().as_nanos())?)
}

pub(crate) async fn cold(plan: &Plan, n: usize) -> Result<Vec<u64>> {
    let mut nanos = Vec::with_capacity(n);
    for i in 0..n {
        let start = Instant::now();
        let client = client()?;
        let body = json!({
            "role_id": read(&plan.role_id_file)?, "secret_id": read(&plan.secret_id_file)?,
        });
        let login = vault(&client, plan, "", "POST", "auth/approle/login", Some(&body)).await?;
        let token = text(&login, "/auth/client_token")?;
        attempt(&client, plan, &token, i).await?;
        vault(
            &client,
            plan,
            &token,
            "POST",
            "auth/token/revoke-self",
            None,
        )
        .await?;
        nanos.push(u64::try_from(start.elapsed().as_nanos())?);
    }
    std::fs::remove_file(plan.sync_folder.join(SYNCED))?;
    Ok(nanos)
}

pub(crate) fn read(file: &std::path::Path) -> Result<String> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.trim_end().to_owned())
}

pub(crate) fn text(answer: &Value, pointer: &str) -> Result<String> {
    let value = answer.pointer(pointer).and_then(Value::as_str);
    Ok(value.with_context(|| format!("no {pointer}"))?.to_owned())
}

async fn attempt(client: &Client, plan: &Plan, token: &str, i: usize) -> Result<()> {
    let (child, accessor) = mint(client, plan, token, i).await?;
    sync(plan)?;
    let secret = secret(client, plan, &child).await?;
    if let Some(address) = &plan.upstream {
        upstream(client, address, &secret).await?;
    }
    revoke(client, plan, token, &accessor).await
}

/// A token and its accessor.
pub(crate) async fn mint(
    client: &Client,
    plan: &Plan,
    token: &str,
    i: usize,
) -> Result<(String, String)> {
    // As much as an attempt says of itself.
    let meta: BTreeMap<String, String> = (0..9)
        .map(|entry| {
            (
                format!("baseline_{entry}"),
                format!("value-of-usual-length-{i}"),
            )
        })
        .collect();
    let body = json!({
        "policies": [plan.policy], "no_default_policy": true, "type": "service", "renewable": true,
        "ttl": "90s", "explicit_max_ttl": "90s", "meta": meta,
        "display_name": format!("baseline-value-of-usual-length-{i}"),
    });
    let path = format!("auth/token/create/{}", plan.token_role);
    let mint = vault(client, plan, token, "POST", &path, Some(&body)).await?;
    Ok((
        text(&mint, "/auth/client_token")?,
        text(&mint, "/auth/accessor")?,
    ))
}

async fn secret(client: &Client, plan: &Plan, token: &str) -> Result<String> {
    let secret = vault(client, plan, token, "GET", &plan.read_path, None).await?;
    text(&secret, &format!("/data/data/{}", plan.field))
}

pub(crate) async fn revoke(
    client: &Client,
    plan: &Plan,
    token: &str,
    accessor: &str,
) -> Result<()> {
    let body = json!({ "accessor": accessor });
    let path = "auth/token/revoke-accessor";
    vault(client, plan, token, "POST", path, Some(&body)).await?;
    Ok(())
}

pub(crate) async fn upstream_calls(client: &Client, plan: &Plan, n: usize) -> Result<Vec<u64>> {
    let address = plan.upstream.as_deref().context("no upstream")?;
    let mut nanos = Vec::with_capacity(n);
    for _ in 0..n {
        let start = Instant::now();
        upstream(client, address, "baseline-token-0123456789").await?;
        nanos.push(u64::try_from(start.elapsed().as_nanos())?);
    }
    Ok(nanos)
}

async fn upstream(client: &Client, address: &str, secret: &str) -> Result<()> {
    let response = client
        .upstream
        .get(address)
        .header("authorization", format!("Bearer {secret}"))
        .header("accept-encoding", "gzip, br")
        .send()
        .await?;
    ensure!(
        response.status().is_success(),
        "upstream answered {}",
        response.status()
    );
    response.bytes().await?;
    Ok(())
}

pub(crate) async fn vault(
    client: &Client,
    plan: &Plan,
    token: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value> {
    let url = format!("{}/v1/{path}", plan.vault);
    let body = match body {
        Some(body) => Full::from(serde_json::to_vec(body)?),
        None => Full::default(),
    };
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header("x-vault-token", token)
        .header("x-vault-request", "true")
        .body(body)?;
    let response = client.vault.request(request).await?;
    ensure!(
        response.status().is_success(),
        "{method} {path}: {}",
        response.status()
    );
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&bytes)?
    })
}

/// The file that [`sync`] writes to.
const SYNCED: &str = "baseline";

/// What a record of the attempt costs at the least: 200 bytes more on disk.
fn sync(plan: &Plan) -> Result<()> {
    let path = plan.sync_folder.join(SYNCED);
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(&[b'x'; 200])?;
    file.sync_data()?;
    Ok(())
}

//! The bare calls of one attempt: mint, 200-byte fdatasync, KV read, upstream
//! call, revoke; the same client library as the host's.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

/// Where the calls go.
#[derive(Deserialize)]
pub(crate) struct Plan {
    vault: String,
    token_file: PathBuf,
    role_id_file: PathBuf,
    secret_id_file: PathBuf,
    token_role: String,
    policy: String,
    kv_path: String,
    field: String,
    upstream: String,
    sync_folder: PathBuf,
}

pub(crate) fn client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .tls_certs_only([])
        .no_proxy()
        .build()?)
}

pub(crate) async fn attempts(client: &reqwest::Client, plan: &Plan, n: usize) -> Result<Vec<u64>> {
    let token = read(&plan.token_file)?;
    let mut nanos = Vec::with_capacity(n);
    for i in 0..n {
        let start = Instant::now();
        attempt(client, plan, &token, i).await?;
        nanos.push(u64::try_from(start.elapsed().as_nanos())?);
        std::fs::remove_file(plan.sync_folder.join(format!("baseline-{i}")))?;
    }
    Ok(nanos)
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
        std::fs::remove_file(plan.sync_folder.join(format!("baseline-{i}")))?;
    }
    Ok(nanos)
}

fn read(file: &std::path::Path) -> Result<String> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.trim_end().to_owned())
}

fn text(answer: &Value, pointer: &str) -> Result<String> {
    let value = answer.pointer(pointer).and_then(Value::as_str);
    Ok(value.with_context(|| format!("no {pointer}"))?.to_owned())
}

async fn attempt(client: &reqwest::Client, plan: &Plan, token: &str, i: usize) -> Result<()> {
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
    });
    let mint = vault(
        client,
        plan,
        token,
        "POST",
        &format!("auth/token/create/{}", plan.token_role),
        Some(&body),
    )
    .await?;
    let child = text(&mint, "/auth/client_token")?;
    let accessor = text(&mint, "/auth/accessor")?;
    sync(plan, i)?;
    let secret = vault(client, plan, &child, "GET", &plan.kv_path, None).await?;
    let pointer = format!("/data/data/{}", plan.field);
    let secret = secret
        .pointer(&pointer)
        .and_then(Value::as_str)
        .context("no such field")?;
    upstream(client, plan, secret).await?;
    let body = json!({ "accessor": accessor });
    vault(
        client,
        plan,
        token,
        "POST",
        "auth/token/revoke-accessor",
        Some(&body),
    )
    .await?;
    Ok(())
}

pub(crate) async fn upstream_calls(
    client: &reqwest::Client,
    plan: &Plan,
    n: usize,
) -> Result<Vec<u64>> {
    let mut nanos = Vec::with_capacity(n);
    for _ in 0..n {
        let start = Instant::now();
        upstream(client, plan, "baseline-token-0123456789").await?;
        nanos.push(u64::try_from(start.elapsed().as_nanos())?);
    }
    Ok(nanos)
}

async fn upstream(client: &reqwest::Client, plan: &Plan, secret: &str) -> Result<()> {
    let response = client
        .get(&plan.upstream)
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

async fn vault(
    client: &reqwest::Client,
    plan: &Plan,
    token: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value> {
    let url = format!("{}/v1/{path}", plan.vault);
    let mut request = client
        .request(method.parse()?, url)
        .header("x-vault-token", token)
        .header("x-vault-request", "true");
    if let Some(body) = body {
        request = request.body(serde_json::to_vec(body)?);
    }
    let response = request.send().await?;
    ensure!(
        response.status().is_success(),
        "{method} {path}: {}",
        response.status()
    );
    let bytes = response.bytes().await?;
    Ok(if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&bytes)?
    })
}

/// What the journal costs at the least: 200 bytes on disk before the token is used.
fn sync(plan: &Plan, i: usize) -> Result<()> {
    let path = plan.sync_folder.join(format!("baseline-{i}"));
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(path)?;
    file.write_all(&[b'x'; 200])?;
    file.sync_data()?;
    Ok(())
}

//! The bare driver: the same statements on a connection that is open, and the
//! bare calls of an attempt with one query.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, TryStreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls};

use crate::secret::{self, Plan};

/// A database, and who logs in.
#[derive(Deserialize)]
pub(crate) struct Database {
    port: u16,
    database: String,
    user: String,
    password_file: PathBuf,
}

/// One statement.
#[derive(Deserialize)]
pub(crate) struct Statement {
    sql: String,
    /// Its one parameter, if it has one.
    #[serde(default)]
    param: Option<i32>,
}

/// Data for a `COPY`.
#[derive(Deserialize)]
pub(crate) struct Data {
    sql: String,
    chunk: String,
    times: usize,
}

async fn connect(
    database: &Database,
    user: &str,
    password: &str,
) -> Result<(Client, JoinHandle<()>)> {
    let mut config = Config::new();
    config
        .host("127.0.0.1")
        .port(database.port)
        .dbname(&database.database)
        .user(user)
        .password(password);
    let (client, connection) = config.connect(NoTls).await?;
    let driver = tokio::spawn(async move {
        // The client sees whatever ends it.
        let _ = connection.await;
    });
    Ok((client, driver))
}

async fn open(database: &Database) -> Result<(Client, JoinHandle<()>)> {
    let password = secret::read(&database.password_file)?;
    connect(database, &database.user, &password).await
}

/// The statement `n` times, prepared once; reads every value of every row.
pub(crate) async fn queries(
    database: &Database,
    statement: &Statement,
    n: usize,
) -> Result<Vec<u64>> {
    let (client, driver) = open(database).await?;
    let prepared = client.prepare(&statement.sql).await?;
    let parameters: Vec<&(dyn ToSql + Sync)> = statement
        .param
        .iter()
        .map(|param| param as &(dyn ToSql + Sync))
        .collect();
    let mut nanos = Vec::with_capacity(n);
    for _ in 0..n {
        let start = Instant::now();
        let rows = client
            .query_raw(&prepared, parameters.iter().copied())
            .await?;
        let mut rows = pin!(rows);
        let mut bytes = 0;
        while let Some(row) = rows.try_next().await? {
            let (_id, body): (i32, &str) = (row.try_get(0)?, row.try_get(1)?);
            bytes += body.len();
        }
        nanos.push(u64::try_from(start.elapsed().as_nanos())?);
        ensure!(bytes > 0, "the statement has no rows");
    }
    drop(client);
    driver.await?;
    Ok(nanos)
}

/// Loads the data `n` times.
pub(crate) async fn copies(database: &Database, data: &Data, n: usize) -> Result<Vec<u64>> {
    let (client, driver) = open(database).await?;
    let mut nanos = Vec::with_capacity(n);
    for _ in 0..n {
        let start = Instant::now();
        let sink = client.copy_in(&data.sql).await?;
        let mut sink = pin!(sink);
        for _ in 0..data.times {
            // A copy each, as a program that has just made it.
            sink.send(std::io::Cursor::new(data.chunk.clone().into_bytes()))
                .await?;
        }
        let rows = sink.finish().await?;
        nanos.push(u64::try_from(start.elapsed().as_nanos())?);
        ensure!(rows > 0, "nothing was loaded");
    }
    drop(client);
    driver.await?;
    Ok(nanos)
}

/// The bare calls of an attempt with one query: mint, creds, connect, query,
/// lease and token revoked.
pub(crate) async fn attempts(
    http: &secret::Client,
    plan: &Plan,
    database: &Database,
    statement: &Statement,
    n: usize,
) -> Result<Vec<u64>> {
    let token = secret::read(&plan.token_file)?;
    let mut nanos = Vec::with_capacity(n);
    for i in 0..n {
        let start = Instant::now();
        let (child, accessor) = secret::mint(http, plan, &token, i).await?;
        let creds = secret::vault(http, plan, &child, "GET", &plan.read_path, None).await?;
        let (user, password) = (
            secret::text(&creds, "/data/username")?,
            secret::text(&creds, "/data/password")?,
        );
        let (client, driver) = connect(database, &user, &password).await?;
        let param = statement.param.context("no parameter")?;
        let rows = client.query(&statement.sql, &[&param]).await?;
        ensure!(rows.len() == 1, "{} rows", rows.len());
        drop(client);
        driver.await?;
        let lease = secret::text(&creds, "/lease_id")?;
        let body = json!({"lease_id": lease, "sync": true});
        let path = "sys/leases/revoke";
        secret::vault(http, plan, &token, "POST", path, Some(&body)).await?;
        secret::revoke(http, plan, &token, &accessor).await?;
        nanos.push(u64::try_from(start.elapsed().as_nanos())?);
    }
    Ok(nanos)
}

//! The bare side of every benchmark, in a process of its own: reads one JSON
//! command a line, does the work `n` times, answers with the durations in
//! nanoseconds. It knows nothing of Cofferdam's code.

mod component;
mod digest;
mod secret;
mod sql;

use std::io::Write;

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// One batch of work.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Command {
    /// Instantiate a component and call `run`.
    Component {
        path: String,
        input: String,
        n: usize,
    },
    /// Mint, sync, read a KV secret, call upstream if there is one, revoke.
    Secret { plan: secret::Plan, n: usize },
    /// Mint, read, revoke, `n` times, with so many under way at once and
    /// without a sync; the answer is the one duration of all.
    Parallel {
        plan: secret::Plan,
        n: usize,
        at_once: usize,
    },
    /// The calls of a process that serves one attempt: log-in, the attempt, and
    /// the end of the log-in, over connections of their own.
    Cold { plan: secret::Plan, n: usize },
    /// Run one statement on an open connection.
    Query {
        database: sql::Database,
        statement: sql::Statement,
        n: usize,
    },
    /// Load data on an open connection.
    Copy {
        database: sql::Database,
        data: sql::Data,
        n: usize,
    },
    /// Mint, make a database user, connect, query, revoke both.
    Borrow {
        plan: secret::Plan,
        database: sql::Database,
        statement: sql::Statement,
        n: usize,
    },
    /// Call upstream only.
    Upstream { plan: secret::Plan, n: usize },
    /// SHA-256 over a file.
    Digest { path: String, n: usize },
}

#[derive(Serialize)]
struct Answer {
    nanos: Vec<u64>,
}

#[tokio::main]
async fn main() -> Result<()> {
    // On a worker of the runtime, as the other side.
    tokio::spawn(serve()).await?
}

async fn serve() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut bare = None;
    let client = secret::client()?;
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line)? > 0 {
        let command = serde_json::from_str(&line)?;
        line.clear();
        let nanos = match command {
            Command::Component { path, input, n } => {
                let bare = match &mut bare {
                    Some(bare) => bare,
                    none => none.insert(component::Bare::load(&path)?),
                };
                bare.batch(&input, n).await?
            }
            Command::Secret { plan, n } => secret::attempts(&client, &plan, n).await?,
            Command::Parallel { plan, n, at_once } => {
                vec![secret::parallel(&client, plan, n, at_once).await?]
            }
            Command::Cold { plan, n } => secret::cold(&plan, n).await?,
            Command::Query {
                database,
                statement,
                n,
            } => sql::queries(&database, &statement, n).await?,
            Command::Copy { database, data, n } => sql::copies(&database, &data, n).await?,
            Command::Borrow {
                plan,
                database,
                statement,
                n,
            } => sql::attempts(&client, &plan, &database, &statement, n).await?,
            Command::Digest { path, n } => digest::digests(&path, n)?,
            Command::Upstream { plan, n } => secret::upstream_calls(&client, &plan, n).await?,
        };
        let mut answer = serde_json::to_vec(&Answer { nanos })?;
        answer.push(b'\n');
        std::io::stdout().write_all(&answer)?;
    }
    Ok(())
}

//! Drives the service with many clients at once and tells how long each waited.
//!
//! It knows nothing of Cofferdam's code, only its API: each client has one
//! connection that it keeps, submits a run with a new idempotency key and waits
//! for its report in the same answer. With `--rate`, submissions begin at even
//! times whatever the service does, and the time a submission had to wait for a
//! free client counts (so that a stall is not measured once only); without it
//! every client begins the next when it has its answer.

mod alarm;
mod client;
mod times;

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Parser;
use serde_json::{Value, json};
use tokio::task::LocalSet;

use alarm::Alarm;
use client::Client;
use times::Times;

/// Drives the service, prints one JSON document.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// The service's Unix socket.
    #[arg(long)]
    socket: PathBuf,
    /// The task.
    #[arg(long)]
    task: String,
    /// Its input.
    #[arg(long, default_value = "{}")]
    input: String,
    /// The dag_id.
    #[arg(long, default_value = "tests")]
    dag_id: String,
    /// Clients, each with a connection.
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Submissions in a second; as many as the service does when absent.
    #[arg(long)]
    rate: Option<f64>,
    /// Stop after so many runs.
    #[arg(long, default_value_t = u64::MAX)]
    runs: u64,
    /// Do not wait for the end of a run: its number is all that is asked for.
    #[arg(long)]
    detached: bool,
    /// Count runs that end with another exit code instead of failing.
    #[arg(long)]
    tolerant: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    serde_json::from_str::<Value>(&arguments.input)?;
    let lanes = LocalSet::new();
    let report = lanes.run_until(drive(arguments)).await?;
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, &report)?;
    Ok(())
}

async fn drive(arguments: Arguments) -> Result<Value> {
    let tolerant = arguments.tolerant;
    let plan = Rc::new(Plan::new(arguments));
    let mut clients = Vec::new();
    for _ in 0..plan.arguments.clients {
        clients.push(Client::connect(&plan.arguments.socket).await?);
    }
    let begun = Instant::now();
    plan.begin(begun);
    let lanes: Vec<_> = clients
        .into_iter()
        .map(|client| tokio::task::spawn_local(lane(Rc::clone(&plan), client)))
        .collect();
    let mut times = Times::new()?;
    for lane in lanes {
        times.add(lane.await??)?;
    }
    let took = begun.elapsed();
    ensure!(times.runs() > 0, "nothing was run");
    ensure!(
        tolerant || times.failures() == 0,
        "{} runs failed",
        times.failures()
    );
    Ok(times.report(took))
}

/// What all lanes share; they take turns on one thread.
struct Plan {
    arguments: Arguments,
    prefix: String,
    begun: std::cell::Cell<Instant>,
    next: std::cell::Cell<u64>,
}

impl Plan {
    fn new(arguments: Arguments) -> Self {
        let now = Instant::now();
        // New for every process: the service remembers keys.
        let id = std::process::id();
        let epoch = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            prefix: format!("load-{id}-{}", epoch.as_nanos()),
            arguments,
            begun: now.into(),
            next: 0.into(),
        }
    }

    fn begin(&self, at: Instant) {
        self.begun.set(at);
    }

    /// The number of the next run and when it is due; none when it is over.
    fn next(&self) -> Option<(u64, Instant)> {
        let number = self.next.get();
        let begun = self.begun.get();
        let due = match self.arguments.rate {
            Some(rate) => begun + Duration::from_secs_f64(number as f64 / rate),
            None => Instant::now(),
        };
        let is_over = due >= begun + Duration::from_secs_f64(self.arguments.seconds);
        if is_over || number >= self.arguments.runs {
            return None;
        }
        self.next.set(number + 1);
        Some((number, due))
    }
}

async fn lane(plan: Rc<Plan>, mut client: Client) -> Result<Times> {
    let mut times = Times::new()?;
    let mut alarm = Alarm::new()?;
    let body = json!({
        "task": plan.arguments.task,
        "attempt": { "dag_id": plan.arguments.dag_id },
        "input": serde_json::from_str::<Value>(&plan.arguments.input)?,
    });
    let body = body.to_string();
    while let Some((number, due)) = plan.next() {
        alarm.until(due).await?;
        let key = format!("{}-{number}", plan.prefix);
        let is_good = client.submit(&key, &body, plan.arguments.detached).await?;
        times.note(due.elapsed(), is_good)?;
    }
    Ok(times)
}

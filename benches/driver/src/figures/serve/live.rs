//! Two thousand runs live at once, each waiting in an upstream call: what they
//! hold in memory, and how long a fresh `hello` waits in between.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use axum::Router;
use axum::routing::get;
use cofferdam_devkit::guests;
use cofferdam_devkit::process::Background;
use cofferdam_devkit::world::World;

use super::hello::INPUT;
use super::service::{Service, number};
use crate::figures::Effort;
use crate::report::Figure;
use crate::stage::beside;

/// Runs that wait.
const LIVE: u32 = 2_000;

/// What the service may have in memory then, in MB.
const MEMORY: f64 = 400.0;

/// What the 99th of a hundred `hello` may wait, in milliseconds.
const WAIT: f64 = 5.0;

/// How long the runs may take to get where they wait.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn measure(effort: Effort) -> Result<[Figure; 2]> {
    let silent = Silent::start()?;
    let world = World::bare(&beside("cofferdam")?)?;
    world.write(
        "cofferdam.toml",
        "[engine]\ninstances = 2_100\n\n[server]\ndrain = \"0s\"\n\n[server.limits]\n\
         runs_per_caller = 2_100\n",
    )?;
    let api = format!(
        "[limits]\ntimeout = \"10m\"\n\n[http.api]\nbase = \"http://{}/\"\nallow = [\"GET **\"]\n\
         network = \"loopback\"\nplain = true\ntimeout = \"5m\"\n",
        silent.address
    );
    world.task("waits", &guests::component("probe-http")?, &api)?;
    world.task("hello", &guests::component("hello")?, "")?;
    let service = Service::start(world.folder())?;
    let fixed = ["--clients", "8", "--rate", "200", "--seconds"];
    let seconds = if effort.is_quick() { "2" } else { "10" };
    let hello = || service.load("hello", INPUT, &[&fixed[..], &[seconds]].concat());
    hello()?;
    let waits = r#"{"do": "fetch", "grant": "api", "path": "item", "times": 1}"#;
    let count = LIVE.to_string();
    let detached = [
        "--clients",
        "16",
        "--runs",
        &count,
        "--detached",
        "--seconds",
        "600",
    ];
    service.load("waits", waits, &detached)?;
    let begun = Instant::now();
    while silent.waiting() < LIVE {
        ensure!(begun.elapsed() < PATIENCE, "only {} wait", silent.waiting());
        thread::sleep(Duration::from_millis(20));
    }
    let waited = hello()?;
    let memory = service.resident()?;
    ensure!(silent.waiting() == LIVE, "some do not wait any more");
    service.end()?;
    Ok([
        Figure::at_most("serve: 2,000 live, memory", "MB", (memory, MEMORY)),
        Figure::at_most(
            "serve: hello beside 2,000 live, p99",
            "ms",
            (number(&waited, "p99")?, WAIT),
        ),
    ])
}

/// An API that never answers.
struct Silent {
    address: SocketAddr,
    waiting: Arc<AtomicU32>,
    _serving: Background,
}

/// One request that waits.
struct Waiting(Arc<AtomicU32>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Silent {
    fn start() -> Result<Self> {
        let waiting = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&waiting);
        let (address, serving) = Background::listen(|listener| async move {
            let wait = move || {
                let counted = Arc::clone(&counted);
                async move {
                    counted.fetch_add(1, Ordering::Relaxed);
                    let _waiting = Waiting(counted);
                    std::future::pending::<()>().await;
                }
            };
            // Ends with the thread; whoever calls then sees it.
            let _ = axum::serve(listener, Router::new().route("/item", get(wait))).await;
        })?;
        Ok(Self {
            address,
            waiting,
            _serving: serving,
        })
    }

    fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }
}

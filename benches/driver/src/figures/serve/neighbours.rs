//! What a hostile guest costs the others: the p99 of `hello` at a fixed rate,
//! alone and beside four guests of a kind, turn by turn.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use cofferdam_devkit::guests;
use cofferdam_devkit::process::{Guarded, dying_with_us};
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::World;

use super::hello::INPUT;
use super::secret::middle;
use super::service::{Service, number};
use crate::figures::Effort;
use crate::report::Figure;
use crate::stage::beside;

/// How much more the others may wait.
const MORE: f64 = 1.5;

/// The limits of the hostile: wide enough to do harm in, and over soon after their
/// driver is gone.
const WIDE: &str = "[limits]\ntimeout = \"4s\"\nmemory = \"64MiB\"\nlog = \"1MiB\"\n\
                    handles = 1000\nhost_calls = 100000000\n";

/// How long the hostile may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Name of the figure, task, input.
const KINDS: [(&str, &str, &str); 5] = [
    ("serve: p99 beside loops", "base", r#"{"do": "spin"}"#),
    ("serve: p99 beside memory", "base", r#"{"do": "memory"}"#),
    (
        "serve: p99 beside log floods",
        "base",
        r#"{"do": "log_flood"}"#,
    ),
    (
        "serve: p99 beside handle floods",
        "http",
        r#"{"do": "handles", "grant": "api", "count": 100000}"#,
    ),
    (
        "serve: p99 beside slow readers",
        "http",
        r#"{"do": "http", "grant": "api", "path": "big/5000000", "read_max": 1}"#,
    ),
];

pub(super) fn measure(effort: Effort) -> Result<Vec<Figure>> {
    let world = World::bare(&beside("cofferdam")?)?;
    let upstream = Upstream::start()?;
    let api = format!(
        "\n[http.api]\nbase = \"{}/\"\nallow = [\"GET **\"]\nnetwork = \"loopback\"\nplain = true\n",
        upstream.address()
    );
    world.task("hello", &guests::component("hello")?, "")?;
    world.task("base", &guests::component("probe")?, WIDE)?;
    let http = guests::component("probe-http")?;
    world.task("http", &http, &format!("{WIDE}{api}"))?;
    let service = Service::start(world.folder())?;
    let seconds = if effort.is_quick() { "1" } else { "3" };
    let p99 = || {
        let fixed = ["--clients", "8", "--rate", "200", "--seconds", seconds];
        number(&service.load("hello", INPUT, &fixed)?, "p99")
    };
    p99()?;
    let mut figures = Vec::new();
    for (name, task, input) in KINDS {
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        for _ in 0..effort.rounds.div_ceil(4) {
            alone.push(p99()?);
            upstream.forget();
            let hostile = hostile(&world, task, input)?;
            // Until they are at work.
            thread::sleep(Duration::from_millis(200));
            ensure!(service.under_way()? >= 1.0, "{name}: none is under way");
            let before = service.processor_time()?;
            beside.push(p99()?);
            let used = service.processor_time()? - before;
            ensure!(
                service.under_way()? >= 1.0,
                "{name}: none is under way any more"
            );
            // `hello` alone needs a tenth of that. A slow reader waits for what it asked for.
            if name.ends_with("slow readers") {
                ensure!(
                    !upstream.requests().is_empty(),
                    "{name}: nothing was asked for"
                );
            } else {
                ensure!(used > 0.5, "{name}: they used {used} s of the processors");
            }
            drop(hostile);
            // What it began goes on without it, for as long as its limits let it.
            service.cancel_all()?;
            let begun = Instant::now();
            while service.under_way()? > 0.0 {
                ensure!(begun.elapsed() < PATIENCE, "{name}: they do not end");
                thread::sleep(Duration::from_millis(50));
            }
        }
        let pair = (middle(beside), middle(alone));
        figures.push(Figure::ratio(name, "ms", pair, MORE));
    }
    service.end()?;
    Ok(figures)
}

/// Four of a kind, one after the other on four connections, until dropped.
fn hostile(world: &World, task: &str, input: &str) -> Result<Guarded> {
    let mut command = dying_with_us(beside("cofferdam-load")?);
    command
        .arg("--socket")
        .arg(world.path("cofferdam.sock"))
        .args(["--task", task, "--input", input, "--clients", "4"])
        .args(["--seconds", "600", "--tolerant"])
        .stdout(Stdio::null());
    Guarded::spawn(command)
}
